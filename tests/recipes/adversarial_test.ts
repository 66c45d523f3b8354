import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { classLoss } from "../../src/losses/classes.ts";
import { clean, perturb } from "../../src/nn/attack.ts";
import { initialize, Spec } from "../../src/nn/spec.ts";
import { add, multiply, tanh } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { randomKey } from "../../src/ops/random.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholders } from "../../src/program/program.ts";
import { mapTree, type Tree } from "../../src/program/tree.ts";
import { adversarial, type AdversarialOptions } from "../../src/recipes/adversarial.ts";
import { pairRecipes, streamRecipes } from "../../src/recipes/mod.ts";
import type { RecipeObjective } from "../../src/recipes/recipe.ts";
import { estimateMemory, estimateStep } from "../../src/train/estimate.ts";
import type { NoExtra, Objective } from "../../src/train/task.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { batchesOf, colours, config as base, KEY, lossOf, setupOf, square, valuesOf } from "./squares.ts";

/** Sizes of a small classifier of what an image and a text are together. */
const [B, D, C] = [3, 4, 5];
type ToySpec = { image: Spec; text: Spec };
type Toy = { image: Tensor; text: Tensor };
type ToyBatch = Toy & { labels: Tensor };

const toy: Objective<ToySpec, NoExtra, ToyBatch> = {
  spec: { image: new Spec([D, C], { normal: 1 }), text: new Spec([D, C], { normal: 1 }) },
  input: {
    image: { shape: [B, D], dtype: "f32" },
    text: { shape: [B, D], dtype: "f32" },
    labels: { shape: [B], dtype: "i32" },
  },
  loss(p, _, { image, text, labels }) {
    const seen = matmul(tanh(perturb("image", image)), p.image), read = matmul(tanh(perturb("text", text)), p.text);
    return { loss: classLoss(add(seen, read), labels) };
  },
};
const host = (shape: number[], seed: number): Float32Array => randomTensor(shape, seed).data as Float32Array;
const given = { pImage: host([D, C], 1), pText: host([D, C], 2), image: host([B, D], 3), text: host([B, D], 4) };
const labels = [0, 3, 2];

/** Value, terms and gradients of an objective of the toy. */
async function found(options: AdversarialOptions): Promise<Map<string, Float32Array>> {
  const params: Toy = { image: tensor(given.pImage, [D, C]), text: tensor(given.pText, [D, C]) };
  const batch: ToyBatch = {
    image: tensor(given.image, [B, D]),
    text: tensor(given.text, [B, D]),
    labels: tensor(Int32Array.from(labels)),
  };
  return await valuesOf((p: Toy, batch: ToyBatch, words: Tensor): Tree => {
    const context = { key: randomKey(words), step: tensor(0), epoch: tensor(0) };
    const [loss, gradients, metrics] = valueAndGradAux((p: Toy): [Tensor, Tree] => {
      const { loss, metrics } = adversarial(toy, options).loss(p, {}, batch, context);
      return [loss, (metrics ?? {}) as Tree];
    })(p);
    return { loss, gradients, metrics };
  }, [params, batch, tensor(KEY)]);
}

/** Logits of the toy in float64, at parameters [2, D, C] and inputs that are moved by perturbations [2, B, D]. */
function logits(p: ArrayLike<number>, moved: ArrayLike<number>): number[][] {
  return Array.from({ length: B }, (_, b) =>
    Array.from({ length: C }, (_, c) => {
      let n = 0;
      for (const [side, x] of [given.image, given.text].entries()) {
        for (let d = 0; d < D; d++) {
          n += Math.tanh(x[b * D + d]! + moved[(side * B + b) * D + d]!) * p[(side * D + d) * C + c]!;
        }
      }
      return n;
    }));
}

const logShares = (x: readonly number[]): number[] =>
  x.map((v) => v - Math.log(x.reduce((n, w) => n + Math.exp(w), 0)));
const meanOver = (of: (b: number) => number): number => labels.reduce((n, _, b) => n + of(b), 0) / B;

/** Cross-entropy, and symmetric KL divergence from the clean predictions, in float64. */
function terms(p: ArrayLike<number>, moved: ArrayLike<number>): { loss: number; kl: number } {
  const own = logits(p, moved).map(logShares), calm = logits(p, new Float64Array(2 * B * D)).map(logShares);
  return {
    loss: meanOver((b) => -own[b]![labels[b]!]!),
    kl: meanOver((b) =>
      own[b]!.reduce((n, x, c) => n + (Math.exp(x) - Math.exp(calm[b]![c]!)) * (x - calm[b]![c]!), 0)
    ),
  };
}

/** Central differences. */
function slope(f: (x: Float64Array) => number, x: Float64Array): Float64Array {
  const at = (i: number, step: number): number => f(x.with(i, x[i]! + step));
  return x.map((_, i) => (at(i, 1e-5) - at(i, -1e-5)) / 2e-5);
}

/** Algorithm 1 in float64 from perturbations of 0. */
function reference({ steps, stepSize, ball, kl, sides }: Required<AdversarialOptions>) {
  const p = Float64Array.from([...given.pImage, ...given.pText]), none = new Float64Array(2 * B * D), each = B * D;
  let [adversarial, divergence] = [0, 0];
  const gradient = slope((p) => terms(p, none).loss, p);
  for (const [side, name] of ["image", "text"].entries()) {
    if (sides !== "both" && sides !== name) continue;
    let delta = none;
    for (let t = 0; t < steps; t++) {
      const whole = (p: ArrayLike<number>, delta: ArrayLike<number>): number =>
        terms(p, delta).loss + kl * terms(p, delta).kl;
      adversarial += terms(p, delta).loss / steps;
      divergence += terms(p, delta).kl / steps;
      slope((p) => whole(p, delta), p).forEach((g, i) => gradient[i]! += g / steps);
      const up = slope((delta) => whole(p, delta), delta), next = delta.slice();
      for (let b = 0; b < B; b++) {
        const from = side * each + b * D, norm = Math.hypot(...up.slice(from, from + D));
        for (let i = from; i < from + D; i++) next[i]! += stepSize * up[i]! / norm;
        const length = Math.hypot(...next.slice(from, from + D));
        if (ball && length > ball) { for (let i = from; i < from + D; i++) next[i]! *= ball / length; }
      }
      delta = next;
    }
  }
  return { loss: terms(p, none).loss + adversarial + kl * divergence, adversarial, divergence, gradient };
}

Deno.test("adversarial(): loss, terms and averaged gradients are those of algorithm 1 in float64", async () => {
  for (
    const options of [
      { steps: 3, stepSize: 0.2, ball: 0, kl: 1.5, sides: "both" },
      { steps: 2, stepSize: 0.3, ball: 0, kl: 0, sides: "text" },
      { steps: 4, stepSize: 0.1, ball: 0, kl: 0.5, sides: "image" },
    ] as const
  ) {
    const results = await found(options), expected = reference(options), of = (name: string) => results.get(name)![0]!;
    assertAlmostEquals(of("loss"), expected.loss, 1e-5);
    assertAlmostEquals(of("metrics.adversarial"), expected.adversarial, 1e-5);
    if (options.kl) assertAlmostEquals(of("metrics.divergence"), expected.divergence, 1e-5);
    else assert(!results.has("metrics.divergence"));
    assert(of("metrics.adversarial") > of("metrics.clean") * (options.sides === "both" ? 2 : 1) + 0.01, "no ascent");
    const gradient = [...results.get("gradients.image")!, ...results.get("gradients.text")!];
    assertClose(gradient, [...expected.gradient], 1e-4);
  }
});

Deno.test("adversarial(): with 0 steps it is the objective itself; in a tiny ball all passes are the clean one", async () => {
  assertEquals(adversarial(toy, { steps: 0 }), toy);
  const plain = await found({ steps: 0 }), tiny = await found({ steps: 2, ball: 1e-7, stepSize: 1e-7, sides: "image" });
  const of = (name: string): number => tiny.get(name)![0]!;
  assertAlmostEquals(of("metrics.clean"), plain.get("loss")![0]!, 1e-6);
  assertAlmostEquals(of("loss"), 2 * plain.get("loss")![0]!, 1e-5);
  assertAlmostEquals(of("metrics.divergence"), 0, 1e-10);
  for (const name of ["gradients.image", "gradients.text"]) {
    assertClose(tiny.get(name)!, plain.get(name)!.map((g) => 2 * g), 1e-4);
  }
});

Deno.test("adversarial(): perturbations start in the ball and never leave it", async () => {
  const norms: Tensor[] = [], ball = 0.25;
  const watched: typeof toy = {
    ...toy,
    loss(p, extra, batch, context) {
      const { image } = batch, moved = perturb("image", image), text = perturb("text", batch.text);
      if (moved !== image) {
        norms.push(sum(multiply(add(moved, multiply(image, -1)), add(moved, multiply(image, -1))), { axes: [1] }));
      }
      return toy.loss(p, extra, { ...batch, image: moved, text }, context);
    },
  };
  const batch = { image: host([B, D], 3), text: host([B, D], 4) };
  const results = await valuesOf((image: Tensor, text: Tensor, words: Tensor): Tree => {
    const params = { image: tensor(given.pImage, [D, C]), text: tensor(given.pText, [D, C]) };
    adversarial(watched, { steps: 4, stepSize: 0.2, ball, sides: "image" }).loss(
      params,
      {},
      { image, text, labels: tensor(Int32Array.from(labels)) },
      { key: randomKey(words), step: tensor(0), epoch: tensor(0) },
    );
    return norms;
  }, [tensor(batch.image, [B, D]), tensor(batch.text, [B, D]), tensor(KEY)]);
  const found = [...results.values()].map((squares) => [...squares].map(Math.sqrt));
  assertEquals(found.length, 4);
  assert(found.flat().every((n) => n > 0 && n <= ball * (1 + 1e-5)), `${found}`);
  assert(found[0]!.every((n) => n < ball) && found[3]!.every((n) => n > 0.99 * ball), `${found}`);
});

Deno.test("adversarial(): what is clean is computed once, without perturbations, and is the same in all passes", () => {
  let calls = 0;
  const seen = new Set<Tensor>();
  const taught: typeof toy = {
    ...toy,
    loss(p, extra, batch, context) {
      const teacher = clean(() => {
        calls++;
        return perturb("image", multiply(batch.image, 2));
      });
      seen.add(teacher);
      return toy.loss(p, extra, batch, context);
    },
  };
  const input = mapTree({ image: tensor(given.image, [B, D]), text: tensor(given.text, [B, D]) }, (t) => t);
  const params = { image: tensor(given.pImage, [D, C]), text: tensor(given.pText, [D, C]) };
  const context = { key: randomKey(tensor(KEY)), step: tensor(0), epoch: tensor(0) };
  adversarial(taught, { steps: 2 }).loss(params, {}, { ...input, labels: tensor(Int32Array.from(labels)) }, context);
  assertEquals([calls, seen.size], [1, 1]);
  assertEquals([...seen][0]!.node.op.name, multiply(input.image, 2).node.op.name);
});

const names = Object.keys(colours), regions = { most: 3, width: 6, classes: 4, names };
const config = { ...base, text: { ...base.text, maxPositions: 16, dropout: 0.1 } };
const examples = names.map((colour, id) => ({
  images: [square(colour)],
  caption: `a ${colour} square`,
  imageId: id,
  regions: {
    count: 1,
    boxes: Float32Array.of(0, 0, 0.5, 0.5),
    features: new Float32Array(6).fill(1, id, id + 1),
    classes: Uint32Array.of(id),
  },
}));

/** An objective of a recipe of any kind, small. */
// deno-lint-ignore no-explicit-any
type Any = RecipeObjective<any, any, any, any>;
function objectiveOf(name: string, remat = false): Any {
  const recipe = { ...pairRecipes, ...streamRecipes }[name as keyof typeof pairRecipes];
  const small = { keyQueue: 8, transportRounds: 2, pixelWidth: 32, pixelLayers: 1 };
  const values = Object.fromEntries(Object.entries(small).filter(([key]) => key in recipe.fields));
  return recipe.objective(setupOf(4, { config, regions, remat }), values) as unknown as Any;
}

Deno.test("adversarial(): every recipe has embeddings of both sides and predictions to compare", () => {
  for (const name of Object.keys({ ...pairRecipes, ...streamRecipes })) {
    const own = objectiveOf(name), params = initialize(own.spec, 1), extra = own.extra?.(params as never) ?? {};
    const context = { key: randomKey(tensor(KEY)), step: tensor(0), epoch: tensor(0) };
    const { metrics } = adversarial(own, { steps: 1 }).loss(params as never, extra, placeholders(own.input), context);
    assertEquals(Object.keys(metrics!).slice(-3), ["clean", "adversarial", "divergence"], name);
  }
});

for (const name of ["grit", "albef", "regions", "vilt"]) {
  Deno.test(`adversarial() of ${name}: the clean part stays, the attack raises the loss, predictions move`, async () => {
    const own = objectiveOf(name), params = initialize(own.spec, 1), extra = own.extra?.(params as never) ?? {};
    const [batch] = await batchesOf(examples as never[], own.collate, 4);
    const plain = await lossOf(own, params as never, extra, batch!);
    const options = { steps: 2, stepSize: 0.5, kl: 1 },
      results = await lossOf(adversarial(own, options), params as never, extra, batch!);
    const of = (metric: string): number => results.get(`metrics.${metric}`)![0]!;
    for (const [key, value] of plain) {
      if (key !== "loss") assertClose(results.get(key)!, value, 1e-6);
      else assertAlmostEquals(of("clean"), value[0]!, 1e-5);
    }
    assert(of("adversarial") > 2 * of("clean") + 1e-3, `${of("adversarial")} of ${of("clean")}`);
    assert(of("divergence") > 1e-6, `${of("divergence")}`);
    assertAlmostEquals(results.get("loss")![0]!, of("clean") + of("adversarial") + of("divergence"), 1e-3);
  });
}

Deno.test("adversarial(): gradients with activations computed again are the same bits", async () => {
  for (const name of ["grit", "regions"]) {
    const [kept, again] = await Promise.all([false, true].map(async (remat) => {
      const own = adversarial(objectiveOf(name, remat), { steps: 2, stepSize: 0.1, ball: 0.3 });
      const [batch] = await batchesOf(examples as never[], own.collate, 4);
      return await valuesOf((params: Tree, batch: Tree, words: Tensor): Tree => {
        const context = { key: randomKey(words), step: tensor(0), epoch: tensor(0) };
        const [, gradients] = valueAndGradAux((
          p: Tree,
        ): [Tensor, null] => [own.loss(p as never, {}, batch, context).loss, null])(params);
        return gradients;
      }, [initialize(own.spec, 1) as Tree, batch as Tree, tensor(KEY)]);
    }));
    assertEquals(again, kept);
  }
});

Deno.test("adversarial(): the estimates count the attack: a step of 2 for both sides is 5 passes, which share their memory", async () => {
  const plain = objectiveOf("regions"), own = adversarial(plain, { steps: 2 });
  const [{ flop }, { flop: more }] = [await estimateStep(plain), await estimateStep(own)];
  assert(more > 4.5 * flop && more < 6 * flop, `${more / flop}`);
  const [memory, needed] = [await estimateMemory(plain), await estimateMemory(own)];
  assert(needed.intermediates > memory.intermediates && needed.intermediates < 3.5 * memory.intermediates);
  assertEquals(needed.parameters, memory.parameters);
});

Deno.test("adversarial(): what cannot be is refused with one sentence", () => {
  const refused = (options: AdversarialOptions, sentence: string, objective: typeof toy = toy): void => {
    const params = { image: tensor(given.pImage, [D, C]), text: tensor(given.pText, [D, C]) };
    const batch = {
      image: tensor(given.image, [B, D]),
      text: tensor(given.text, [B, D]),
      labels: tensor(Int32Array.from(labels)),
    };
    const context = { key: randomKey(tensor(KEY)), step: tensor(0), epoch: tensor(0) };
    assertThrows(() => adversarial(objective, options).loss(params, {}, batch, context), RangeError, sentence);
  };
  refused({ steps: 1.5 }, "steps must be a whole number of at least 0: it is 1.5");
  refused({ stepSize: -1 }, "stepSize must be at least 0: it is -1");
  refused({ ball: NaN }, "ball must be at least 0: it is NaN");
  refused({ kl: Infinity }, "kl must be at least 0: it is Infinity");
  const words = {
    ...toy,
    loss: (p: Toy, _: NoExtra, { text, labels }: ToyBatch) => ({
      loss: classLoss(matmul(perturb("text", text), p.text), labels),
    }),
  };
  refused({}, `sides (--adversarial-sides) must be "text": it has no embeddings of images to perturb`, words);
  const none = {
    ...toy,
    loss: (p: Toy, _: NoExtra, { text, labels }: ToyBatch) => ({ loss: classLoss(matmul(text, p.text), labels) }),
  };
  refused({}, "the model must hand embeddings to perturb(): it has no embeddings of images to perturb", none);
  const silent = {
    ...toy,
    loss: (p: Toy, _: NoExtra, { text, image }: ToyBatch) => ({
      loss: sum(add(matmul(perturb("text", text), p.text), matmul(perturb("image", image), p.image))),
    }),
  };
  refused({}, "kl (--adversarial-kl) must be 0, as the loss predicts no distribution: it is 1.5", silent);
});
