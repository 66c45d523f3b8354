import { assert, assertEquals, assertThrows } from "@std/assert";
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { type Albef, albefSpec, pretrainLoss, type PretrainOptions, weightedSum } from "../../src/models/albef.ts";
import { configs } from "../../src/models/config.ts";
import { countParameters, initialize } from "../../src/nn/spec.ts";
import { randomKey } from "../../src/ops/random.ts";
import { compile, read, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, leaves, type Tree } from "../../src/program/tree.ts";
import { assertClose } from "../testing/reference.ts";
import { config, patches, texts } from "./sizes.ts";

Deno.test("the base model has 209,937,725 parameters", () => {
  const spec = albefSpec(configs.base);
  assertEquals(countParameters(spec.visual_encoder), 85_844_736);
  assertEquals(countParameters(spec.text_encoder), 123_697_722);
  assertEquals(countParameters(spec), 209_937_725);
});

/** Losses and gradients of a step. */
async function step(options: PretrainOptions, dropout = 0, step = 0): Promise<Map<string, Float32Array>> {
  const own = { ...config, text: { ...config.text, dropout } }, count = 4;
  const text = texts(count, 6, 2);
  const labels = Int32Array.from(text.ids.node.host!, (id, i) => id > 4 && i % 2 ? id : -100);
  const batch = { patches: patches(count, 1), ...text, mlmIds: text.ids, mlmLabels: tensor(labels, [count, 6]) };
  const run = compile((p: Albef & Tree, batch: Parameters<typeof pretrainLoss>[1] & Tree, words: Tensor) => {
    const [loss, grads, r] = valueAndGradAux((p: Albef) => {
      const r = pretrainLoss(p, batch, randomKey(words), own, options);
      return [r.loss, r];
    })(p);
    return { loss, grads, itc: r.itc, itm: r.itm, mlm: r.mlm } as Tree;
  });
  const result = await run(initialize(albefSpec(config), 3), batch, tensor(Uint32Array.of(1, step)));
  const values = await read(leaves(result));
  run.destroy();
  return new Map(entries(result).map(([name], i) => [name, values[i] as Float32Array]));
}

Deno.test("every parameter of unequal widths gets a finite gradient from the sum of the losses", async () => {
  const results = await step({});
  assertEquals(results.get("loss")![0], results.get("itc")![0]! + results.get("itm")![0]! + results.get("mlm")![0]!);
  for (const [name, values] of results) {
    assert(values.every(Number.isFinite), `${name} is finite`);
    if (name.startsWith("grads.")) assert(values.some((x) => x !== 0), `${name} is reached`);
  }
});

Deno.test("computing the layers again changes no loss and no gradient", async () => {
  const kept = await step({ negatives: "top1" }, 0.1), again = await step({ negatives: "top1", remat: true }, 0.1);
  for (const [name, values] of kept) assertClose(again.get(name)!, values, 1e-5, 1e-6);
});

Deno.test("dropout is a function of the key", async () => {
  const [a, b, c] = [await step({}, 0.1, 1), await step({}, 0.1, 1), await step({}, 0.1, 2)];
  assertEquals(a!.get("loss"), b!.get("loss"));
  assert(a!.get("mlm")![0] !== c!.get("mlm")![0]);
});

Deno.test("a weight of 0 leaves a loss out", async () => {
  const results = await step({ weights: { itm: 0, mlm: 0 } });
  assertEquals([results.get("itm")![0], results.get("mlm")![0]], [0, 0]);
  assertEquals(results.get("loss"), results.get("itc"));
  assert(results.get("grads.itm_head.weight")!.every((x) => x === 0));
  assertThrows(() => weightedSum([[0, tensor(1)]]), RangeError, "all are 0");
});
