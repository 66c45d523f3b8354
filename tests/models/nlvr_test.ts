import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { configs } from "../../src/models/config.ts";
import { type Nlvr, nlvrLogits, nlvrSpec } from "../../src/models/nlvr.ts";
import type { PatchedPairs } from "../../src/models/albef.ts";
import { initialize, specEntries } from "../../src/nn/spec.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { mean } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import { config, patches, texts } from "./sizes.ts";

Deno.test("the base model has 18 layers that share keys and values in pairs", () => {
  const names = specEntries(nlvrSpec(configs.base)).map(([name]) => name);
  const keys = names.filter((name) => /crossattention\.self\.key\.weight$/.test(name)).map((name) =>
    name.split(".")[3]
  );
  assertEquals(keys, ["6", "8", "10", "12", "14", "16"]);
  assertEquals(new Set(names.filter((n) => n.includes("layer.")).map((n) => n.split(".")[3])).size, 18);
  assert(names.includes("cls_head.0.weight") && names.includes("cls_head.2.bias"));
});

const batch = (images: number): PatchedPairs => ({ patches: patches(images, 1), ...texts(3, 6, 2) });

Deno.test("nlvrLogits() of unequal widths depend on every parameter, and on the order of the images", async () => {
  const labels = tensor(Int32Array.of(1, 0, 1)), params = initialize(nlvrSpec(config), 5);
  const run = compile((p: Nlvr & Tree, b: PatchedPairs, labels: Tensor) => {
    const logits = (p: Nlvr): Tensor => nlvrLogits(p, b, { config });
    const [loss, grads] = valueAndGrad((p: Nlvr) => mean(crossEntropy(logits(p), labels)[0]))(p);
    return [logits(p), loss, ...leaves(grads as Tree)];
  });
  const six = batch(6), swapped = patches(6, 1).node.host as Float32Array, half = swapped.length / 2;
  const [logits, loss, ...grads] = await toHost(await run(params, six, labels)) as Float32Array[];
  assert(Number.isFinite(loss![0]));
  for (const g of grads) assert(g.every(Number.isFinite) && g.some((x) => x !== 0));
  const other = tensor(Float32Array.of(...swapped.subarray(half), ...swapped.subarray(0, half)), six.patches.shape);
  const [again] = await toHost(await run(params, { ...six, patches: other }, labels)) as Float32Array[];
  assert(logits!.some((x, i) => Math.abs(x - again![i]!) > 1e-7));
  run.destroy();
});
