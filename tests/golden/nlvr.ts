/** The sets of two-image reasoning: the model, and its pre-training by text assignment. */
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { type Assignment, textAssignmentLogits } from "../../src/losses/assignment.ts";
import { type Nlvr, nlvrLogits, nlvrSpec, type TextAssignment, textAssignmentSpec } from "../../src/models/nlvr.ts";
import type { ParametersOf, SpecTree } from "../../src/nn/spec.ts";
import { mapSpecs } from "../../src/nn/spec.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { mean } from "../../src/ops/reduce.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { tensor } from "../../src/program/compile.ts";
import { albefConfig, compareGradients, run, zeroDiagonal } from "./core.ts";
import { type Golden, type Loose, toTensor, type Value, Verdict } from "./golden.ts";

function batchOf(values: ReadonlyMap<string, Value>, images?: number): Loose {
  const image = values.get("image")!, count = images ?? image.shape[0]!, size = image.data.length / image.shape[0]!;
  return {
    image: tensor(Float32Array.from(image.data.subarray(0, count * size)), [count, ...image.shape.slice(1)]),
    ids: toTensor(values.get("input_ids"), "u32"),
    mask: toTensor(values.get("attention_mask")),
  };
}

async function nlvrSet(golden: Golden, file: string): Promise<Verdict> {
  const config = albefConfig(golden.config(file)), params = await golden.parameters(file, nlvrSpec(config));
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  const labels = toTensor(verdict.values.get("targets"), "i32");
  const results = await run([params, batchOf(verdict.values), labels], (p, c, labels) => {
    const batch = { ...c, patches: patchify(c.image, config.vision.patch) };
    const [loss, grads, prediction] = valueAndGradAux((p: Nlvr) => {
      const logits = nlvrLogits(p, batch, { config });
      return [mean(crossEntropy(logits, labels)[0]), logits];
    })(p);
    return { loss, grads, prediction };
  });
  verdict.skip("image", "input_ids", "attention_mask", "targets");
  verdict.scalar("loss", results.get("loss")![0]!);
  verdict.forward("prediction", results.get("prediction")!);
  compareGradients(verdict, results);
  return verdict;
}

/** The assignment that the stored draws give: per text one uniform number, then one more or a second other image. */
function forcedAssignment(count: number, { rand, multinomial }: { rand: number[]; multinomial: number[] }): Assignment {
  const uniform = [...rand], others = [...multinomial];
  const rows = Array.from({ length: count }, (_, own) => {
    if (uniform.shift()! > 1 / 3) {
      const other = others.shift()!;
      return uniform.shift()! > 0.5 ? [own, other, 0] : [other, own, 1];
    }
    return [others.shift()!, others.shift()!, 2];
  }) as [number, number, number][];
  return {
    first: tensor(Uint32Array.from(rows, (r) => r[0])),
    second: tensor(Uint32Array.from(rows, (r) => r[1])),
    labels: tensor(Int32Array.from(rows, (r) => r[2])),
  };
}

/** Parameters of which some are in the set's own file, as `weight.*`. */
async function splitParameters<S extends SpecTree>(golden: Golden, file: string, spec: S): Promise<ParametersOf<S>> {
  const own = await golden.values(file), rest = await golden.values(golden.sibling(file, "weights"));
  return mapSpecs(spec, ({ shape }, path) => {
    const value = own.get(`weight.${path}`) ?? rest.get(path);
    if (!value) throw new Error(`Neither ${file} nor the weights beside it have "${path}"`);
    return tensor(value.data, shape);
  });
}

async function textAssignmentSet(golden: Golden, file: string): Promise<Verdict> {
  const config = albefConfig(golden.config(file));
  const params = await splitParameters(golden, file, textAssignmentSpec(config));
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  const inputs = await golden.values(golden.sibling(file, "nlvr")), count = inputs.get("input_ids")!.shape[0]!;
  const assignment = forcedAssignment(count, verdict.entry.scalars.forced_draws);
  const results = await run([params, batchOf(inputs, count), assignment], (p, c, assignment) => {
    const batch = { ...c, patches: patchify(c.image, config.vision.patch) };
    const [loss, grads, r] = valueAndGradAux((p: TextAssignment) => {
      const r = textAssignmentLogits(p, batch, () => assignment, { config });
      return [mean(crossEntropy(r.logits, assignment.labels)[0]), r];
    })(p);
    return { loss, grads, pred: r.logits, labels: r.assignment.labels, weights: zeroDiagonal(softmax(r.similarities)) };
  });
  verdict.skip(...verdict.left.filter((name) => name.startsWith("weight.")));
  verdict.scalar("loss", results.get("loss")![0]!);
  verdict.forward("weights", results.get("weights")!);
  verdict.forward("pred", results.get("pred")!);
  verdict.exact("labels", results.get("labels")!);
  compareGradients(verdict, results);
  return verdict;
}

/** The checks of this file by the name of a set. */
export const nlvrSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  nlvr: nlvrSet,
  nlvr_pretrain: textAssignmentSet,
};
