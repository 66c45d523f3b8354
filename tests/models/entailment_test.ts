import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import type { PatchedPairs } from "../../src/models/albef.ts";
import { type Entailment, entailmentLogits, entailmentSpec } from "../../src/models/entailment.ts";
import { initialize, specEntries } from "../../src/nn/spec.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { mean } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import { config, patches, texts } from "./sizes.ts";

Deno.test("entailmentLogits() are of three classes and depend on every parameter", async () => {
  const params = initialize(entailmentSpec(config), 5), labels = tensor(Int32Array.of(1, 0, 2));
  const run = compile((p: Entailment & Tree, pairs: PatchedPairs, labels: Tensor) => {
    const [loss, grads] = valueAndGrad((p: Entailment) =>
      mean(crossEntropy(entailmentLogits(p, pairs, { config }), labels)[0])
    )(p);
    return [entailmentLogits(p, pairs, { config }), loss, ...leaves(grads as Tree)];
  });
  const [logits, loss, ...grads] = await toHost(
    await run(params, { patches: patches(3, 1), ...texts(3, 6, 2) }, labels),
  ) as Float32Array[];
  run.destroy();
  assertEquals(logits!.length, 9);
  assert(Number.isFinite(loss![0]));
  for (const g of grads) assert(g.every(Number.isFinite) && g.some((x) => x !== 0));
});

Deno.test("the entailment model has the official names", () => {
  const names = specEntries(entailmentSpec(config)).map(([name]) => name);
  for (const name of ["cls_head.0.weight", "cls_head.2.bias", "text_encoder.embeddings.LayerNorm.weight"]) {
    assert(names.includes(name), name);
  }
  assert(!names.some((name) => /^text_encoder\.(bert|cls)\./.test(name)));
});
