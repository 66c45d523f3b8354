import { assert, assertEquals } from "@std/assert";
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { type Albef, albefSpec } from "../../src/models/albef.ts";
import { initialize } from "../../src/nn/spec.ts";
import { randomKey } from "../../src/ops/random.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, leaves, type Tree } from "../../src/program/tree.ts";
import { gritLoss, type GritOptions, type MaskedPairs } from "../../src/recipes/grit.ts";
import { config, patches, texts } from "../models/sizes.ts";

/** What is the same for a step: its dropout, its number, and whether layers are computed again. */
interface StepOptions {
  readonly dropout?: number;
  readonly number?: number;
  readonly remat?: boolean;
}

/** Losses and gradients of a step. */
async function step(
  options: GritOptions,
  { dropout = 0, number = 0, remat = false }: StepOptions = {},
): Promise<Map<string, Float32Array>> {
  const own = { ...config, text: { ...config.text, dropout } }, count = 4;
  const text = texts(count, 6, 2);
  const labels = Int32Array.from(text.ids.node.host!, (id, i) => id > 4 && i % 2 ? id : -100);
  const batch = { patches: patches(count, 1), ...text, mlmIds: text.ids, mlmLabels: tensor(labels, [count, 6]) };
  const run = compile((p: Albef & Tree, batch: MaskedPairs & Tree, words: Tensor) => {
    const [loss, grads, { terms, negatives, features }] = valueAndGradAux((p: Albef) => {
      const r = gritLoss(p, batch, { config: own, key: randomKey(words), remat }, options);
      return [r.loss, r];
    })(p);
    return { loss, grads, ...terms, negatives, features } as Tree;
  });
  const result = await run(initialize(albefSpec(config), 3), batch, tensor(Uint32Array.of(1, number)));
  const values = await toHost(leaves(result));
  run.destroy();
  return new Map(entries(result).map(([name], i) => [name, values[i] as Float32Array]));
}

Deno.test("every parameter of unequal widths gets a finite gradient from the sum of the losses", async () => {
  const results = await step({});
  const [itc, itm, mlm] = ["itc", "itm", "mlm"].map((term) => results.get(term)![0]!);
  assertEquals(results.get("loss")![0], Math.fround(Math.fround(itc! + itm!) + mlm!));
  for (const [name, values] of results) {
    assert(values.every(Number.isFinite), `${name} is finite`);
    if (name.startsWith("grads.")) assert(values.some((x) => x !== 0), `${name} is reached`);
  }
});

Deno.test("computing the layers again changes no bit of a loss or a gradient", async () => {
  const options = { negatives: "top1" } as const;
  const kept = await step(options, { dropout: 0.1 }), again = await step(options, { dropout: 0.1, remat: true });
  for (const [name, values] of kept) assertEquals(again.get(name), values, name);
});

Deno.test("dropout is a function of the key", async () => {
  const [a, b, c] = await Promise.all([1, 1, 2].map((number) => step({}, { dropout: 0.1, number })));
  assertEquals(a!.get("loss"), b!.get("loss"));
  assert(a!.get("mlm")![0] !== c!.get("mlm")![0]);
});

Deno.test("a weight of 0 leaves a loss out", async () => {
  const results = await step({ itmWeight: 0, mlmWeight: 0 });
  assertEquals([results.has("itm"), results.has("mlm")], [false, false]);
  assertEquals(results.get("loss"), results.get("itc"));
  assert(results.get("grads.itm_head.weight")!.every((x) => x === 0));
});

Deno.test("given negatives are those that meet in ITM", async () => {
  const chosen = await step({ negatives: "top1" });
  const of = (side: "images" | "texts"): Tensor => tensor(Uint32Array.from(chosen.get(`negatives.${side}`)!));
  const given = await step({ negatives: { images: of("images"), texts: of("texts") } });
  assertEquals(given, chosen);
  const others = { images: tensor(Uint32Array.of(3, 2, 1, 0)), texts: tensor(Uint32Array.of(1, 0, 3, 2)) };
  const other = await step({ negatives: others });
  assertEquals([...other.get("negatives.images")!], [3, 2, 1, 0]);
  assert(other.get("itm")![0] !== chosen.get("itm")![0]);
});
