import { assert, assertEquals, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import {
  drawAssignment,
  type Nlvr,
  type NlvrBatch,
  nlvrLogits,
  nlvrLoss,
  nlvrSpec,
  type TextAssignment,
  textAssignmentLoss,
  textAssignmentSpec,
} from "../../src/models/nlvr.ts";
import { configs } from "../../src/models/config.ts";
import { initialize, specEntries } from "../../src/nn/spec.ts";
import { concat, stack } from "../../src/ops/shape.ts";
import { cast } from "../../src/ops/elementwise.ts";
import { compile, data, read, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import { config, patches, randoms, texts } from "./sizes.ts";

Deno.test("the base model has 18 layers that share keys and values in pairs", () => {
  const names = specEntries(nlvrSpec(configs.base)).map(([name]) => name);
  const keys = names.filter((name) => /crossattention\.self\.key\.weight$/.test(name)).map((name) =>
    name.split(".")[3]
  );
  assertEquals(keys, ["6", "8", "10", "12", "14", "16"]);
  assertEquals(new Set(names.filter((n) => n.includes("layer.")).map((n) => n.split(".")[3])).size, 18);
  assert(names.includes("cls_head.0.weight") && names.includes("cls_head.2.bias"));
});

const batch = (images: number): NlvrBatch => ({ patches: patches(images, 1), ...texts(3, 6, 2) });

Deno.test("nlvrLoss() of unequal widths reaches every parameter, and the order of the images matters", async () => {
  const labels = tensor(Int32Array.of(1, 0, 1)), params = initialize(nlvrSpec(config), 5);
  const run = compile((p: Nlvr & Tree, b: NlvrBatch, labels: Tensor) => {
    const [loss, grads] = valueAndGrad((p: Nlvr) => nlvrLoss(p, b, labels, config))(p);
    return [nlvrLogits(p, b, config), loss, ...leaves(grads as Tree)];
  });
  const six = batch(6), swapped = patches(6, 1).node.host as Float32Array, half = swapped.length / 2;
  const [logits, loss, ...grads] = await read(await run(params, six, labels)) as Float32Array[];
  assert(Number.isFinite(loss![0]));
  for (const g of grads) assert(g.every(Number.isFinite) && g.some((x) => x !== 0));
  const other = tensor(Float32Array.of(...swapped.subarray(half), ...swapped.subarray(0, half)), six.patches.shape);
  const [again] = await read(await run(params, { ...six, patches: other }, labels)) as Float32Array[];
  assert(logits!.some((x, i) => Math.abs(x - again![i]!) > 1e-7));
  run.destroy();
});

Deno.test("drawAssignment() draws two different images: the own one and another, or two others", async () => {
  const count = 5, per = 40, times = 1000;
  const many = compile((x: Tensor, words: Tensor) =>
    stack(Array.from({ length: per }, (_, stream) => {
      const { first, second, labels } = drawAssignment(x, { words, stream });
      return concat([cast(first, "i32"), cast(second, "i32"), labels], 0);
    }))
  );
  const x = randoms([count, count], 3), counts = [0, 0, 0];
  for (let t = 0; t < times; t += per) {
    const rows = await data(await many(x, tensor(Uint32Array.of(3, t))));
    for (let row = 0; row < per; row++) {
      const of = (part: number, i: number): number => rows[(row * 3 + part) * count + i]!;
      for (let own = 0; own < count; own++) {
        const [first, second, label] = [of(0, own), of(1, own), of(2, own)];
        assert(first !== second && first < count && second < count);
        assertEquals(label, first === own ? 0 : second === own ? 1 : 2);
        counts[label]!++;
      }
    }
  }
  const drawn = times * count;
  for (const n of counts) assert(Math.abs(n / drawn - 1 / 3) < 5 * Math.sqrt(2 / 9 / drawn), `${counts} of ${drawn}`);
  many.destroy();
  assertThrows(
    () => drawAssignment(randoms([2, 2], 1), { words: tensor(Uint32Array.of(0, 0)), stream: 0 }),
    RangeError,
    "2",
  );
});

Deno.test("textAssignmentLoss() is finite and does not train the projection that it draws by", async () => {
  const run = compile((p: TextAssignment & Tree, b: NlvrBatch, words: Tensor) => {
    const [loss, grads] = valueAndGrad((p: TextAssignment) => textAssignmentLoss(p, b, { words, stream: 0 }, config))(
      p,
    );
    return [loss, grads.vision_proj.weight, grads.ta_head.weight, grads.visual_encoder.cls_token];
  });
  const results = await read(
    await run(initialize(textAssignmentSpec(config), 5), batch(3), tensor(Uint32Array.of(1, 2))),
  ) as Float32Array[];
  for (const values of results) assert(values.every(Number.isFinite));
  assert(results[1]!.every((x) => x === 0));
  assert(results[2]!.some((x) => x !== 0) && results[3]!.some((x) => x !== 0));
  run.destroy();
});
