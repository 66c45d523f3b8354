import { assert, assertEquals, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { type Assignment, drawAssignment, textAssignmentLogits } from "../../src/losses/assignment.ts";
import type { PatchedPairs } from "../../src/models/albef.ts";
import { type TextAssignment, textAssignmentSpec } from "../../src/models/nlvr.ts";
import { initialize } from "../../src/nn/spec.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { cast } from "../../src/ops/elementwise.ts";
import { mean } from "../../src/ops/reduce.ts";
import { concat, stack } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { config, patches, randoms, texts } from "../models/sizes.ts";

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
    const rows = await toHost(await many(x, tensor(Uint32Array.of(3, t))));
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

Deno.test("textAssignmentLogits() do not train the projection that images are drawn by", async () => {
  const run = compile((p: TextAssignment & Tree, b: PatchedPairs, words: Tensor) => {
    const choose = (similarities: Tensor): Assignment => drawAssignment(similarities, { words, stream: 0 });
    const [loss, grads] = valueAndGrad((p: TextAssignment) => {
      const { logits, assignment } = textAssignmentLogits(p, b, choose, { config });
      return mean(crossEntropy(logits, assignment.labels)[0]);
    })(p);
    return [loss, grads.vision_proj.weight, grads.ta_head.weight, grads.visual_encoder.cls_token];
  });
  const batch = { patches: patches(3, 1), ...texts(3, 6, 2) }, words = tensor(Uint32Array.of(1, 2));
  const results = await toHost(await run(initialize(textAssignmentSpec(config), 5), batch, words)) as Float32Array[];
  for (const values of results) assert(values.every(Number.isFinite));
  assert(results[1]!.every((x) => x === 0));
  assert(results[2]!.some((x) => x !== 0) && results[3]!.some((x) => x !== 0));
  run.destroy();
});
