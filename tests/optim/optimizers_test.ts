import { assertAlmostEquals, assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { square, subtract } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { adafactor } from "../../src/optim/adafactor.ts";
import { officialDecay } from "../../src/optim/layout.ts";
import { adam, adamw, lion, rmsprop, sgd } from "../../src/optim/optimizers.ts";
import { cosineSchedule, warmup } from "../../src/optim/schedules.ts";
import { applyUpdates, byGroup, chain, freeze, type Transformation } from "../../src/optim/transformation.ts";
import {
  addDecayedWeights,
  clip,
  clipByGlobalNorm,
  scale,
  scaleBySchedule,
  weightEma,
} from "../../src/optim/transforms.ts";
import { compile, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, filterTree, leaves, mapTree, type Tree } from "../../src/program/tree.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import {
  adafactorStep,
  adamStep,
  lionStep,
  momentumStep,
  type Param,
  type Reference,
  rmspropStep,
} from "./formulas.ts";

const STEPS = 6;
/** Parameters of several ranks, by path. */
const shapes: Record<string, number[]> = { "a.weight": [3, 5], "a.bias": [5], "b.0": [2, 3, 4], "b.1": [] };
type Params = { a: { weight: Tensor; bias: Tensor }; b: Tensor[] };

function filled(values: (path: string, i: number) => Float32Array): Params {
  const at = (path: string, i: number): Tensor => tensor(values(path, i), shapes[path]!);
  return { a: { weight: at("a.weight", 0), bias: at("a.bias", 1) }, b: [at("b.0", 2), at("b.1", 3)] };
}
const random = (path: string, seed: number): Float32Array => randomTensor(shapes[path]!, seed).data as Float32Array;
const start = (): Params => filled((path, i) => random(path, 70 + i));
/** Gradients of very different sizes. */
const gradient = (path: string, i: number, step: number): Float32Array =>
  random(path, 10 * step + i).map((g, k) => g * 10 ** (k % 5 - 2));

/** Decay for some parameters alone. */
const masked = (of: (decay: number) => Reference): Reference => (p, g, t) =>
  of(officialDecay(p.path, p.shape) ? 0.3 : 0)(p, g, t);

const rate = warmup(2, cosineSchedule(0.2, 0.02, 4));
const cases: Record<string, [optimizer: Transformation, reference: Reference]> = {
  "sgd": [sgd(0.1), momentumStep(0.1, 0, false, 0)],
  "sgd with momentum and decay": [sgd(0.1, { momentum: 0.9, weightDecay: 0.2 }), momentumStep(0.1, 0.9, false, 0.2)],
  "sgd with Nesterov's momentum": [sgd(0.1, { momentum: 0.8, nesterov: true }), momentumStep(0.1, 0.8, true, 0)],
  "adam with a schedule": [adam(rate), (p, g, t) => adamStep(rate(t - 1), 0.9, 0.999, 1e-8, 0, 0)(p, g, t)],
  "adam with a penalty": [
    adam(0.05, { beta1: 0.8, beta2: 0.98, eps: 1e-3, weightDecay: 0.1 }),
    adamStep(0.05, 0.8, 0.98, 1e-3, 0.1, 0),
  ],
  "adamw": [adamw(0.05), adamStep(0.05, 0.9, 0.999, 1e-8, 0, 0.01)],
  "adamw with a mask": [
    adamw(0.05, { weightDecay: 0.3, mask: officialDecay }),
    masked((decay) => adamStep(0.05, 0.9, 0.999, 1e-8, 0, decay)),
  ],
  "lion": [lion(0.01, { weightDecay: 0.1 }), lionStep(0.01, 0.9, 0.99, 0.1)],
  "rmsprop with momentum": [
    rmsprop(0.01, { momentum: 0.7, decay: 0.9, eps: 1e-4, weightDecay: 0.1 }),
    rmspropStep(0.01, 0.9, 1e-4, 0.7, 0.1),
  ],
  "adafactor": [adafactor(0.5, { weightDecay: 0.1 }), adafactorStep(0.5, 0.1)],
};

/** A compiled step whose parameters and state stay in place. */
function compiled(optimizer: Transformation) {
  return compile((params: Params, state: Tree, gradients: Params) => {
    const [updates, next] = optimizer.update(gradients, state, params);
    return { params: applyUpdates(params, updates), state: next };
  }, { donate: [0, 1] });
}

for (const [name, [optimizer, reference]] of Object.entries(cases)) {
  Deno.test(`${name} takes the steps of its float64 formulas`, async () => {
    const step = compiled(optimizer), initial = start();
    const expected = await Promise.all(
      entries(initial).map(async ([path, leaf]): Promise<Param> => ({
        x: Float64Array.from(await toHost(leaf)),
        shape: leaf.shape,
        path,
        state: {},
      })),
    );
    let now: { params: Params; state: Tree } = { params: initial, state: optimizer.init(initial) };
    for (let t = 1; t <= STEPS; t++) {
      now = await step(now.params, now.state, filled((path, i) => gradient(path, i, t)));
      expected.forEach((p, i) => reference(p, Float64Array.from(gradient(p.path, i, t)), t));
    }
    (await toHost(leaves(now.params))).forEach((x, i) => assertClose(x, expected[i]!.x, 3e-6, 1e-6));
    step.destroy();
  });
}

/** Two steps of an optimizer with gradients of 1 everywhere: parameters and state. */
async function twoSteps(optimizer: Transformation, params: Params = start()) {
  const step = compiled(optimizer),
    ones = () => mapTree(params, (p) => tensor(new Float32Array(p.size).fill(1), p.shape));
  const one = await step(await toDevice(mapTree(params, own)), optimizer.init(params), ones());
  const two = await step(one.params, one.state, ones());
  step.destroy();
  return two;
}
const own = (t: Tensor): Tensor => tensor(t.node.host!, t.shape);

Deno.test("byGroup() gives each group its own optimizer, and what is frozen stays to the bit", async () => {
  const optimizer = byGroup(
    { slow: sgd(0.1), fast: chain(scale(3), sgd(1, { momentum: 0.5 })), fixed: freeze() },
    (path, shape) => shape.length === 0 ? "fixed" : path.startsWith("a.") ? "fast" : "slow",
  );
  const params = start(), { params: after, state } = await twoSteps(optimizer, params);
  const moved = { "a.weight": 7.5, "a.bias": 7.5, "b.0": 0.2, "b.1": 0 } as Record<string, number>;
  for (const [path, leaf] of entries(after)) {
    const before = await toHost(filterTree(params, (p) => p === path)[path]!);
    assertClose(await toHost(leaf), Float64Array.from(before, (v) => v - moved[path]!), 1e-6);
  }
  assertEquals(entries(state).map(([path]) => path), ["fast.1.0.velocity.a.weight", "fast.1.0.velocity.a.bias"]);
});

Deno.test("clipping, decay, schedules and scales change updates as they say", async () => {
  const links = {
    norm: clipByGlobalNorm(2),
    each: clip(0.75),
    decay: addDecayedWeights(0.5, (path) => path === "x"),
    scale: scale(-2),
    schedule: scaleBySchedule((step) => square(subtract(step, 3))),
    chain: chain(clip(2), scale(10), clip(15)),
  };
  type Pair = { x: Tensor; y: Tensor };
  const params = { x: tensor([10, 20]), y: tensor([30]) };
  const run = compile((gradients: Pair) =>
    Object.fromEntries(
      Object.entries(links).map(([name, link]) => [name, link.update(gradients, link.init(params), params)[0]]),
    ) as Record<string, Pair>
  );
  const f = async (x: number[], y: number[]) => {
    const all = await run({ x: tensor(x), y: tensor(y) });
    return Object.fromEntries(
      await Promise.all(
        Object.entries(all).map(async ([name, { x, y }]) => [name, [...await toHost(x), ...await toHost(y)]]),
      ),
    );
  };
  const long = await f([3, 0], [-4]);
  long.norm = long.norm.map((v: number) => Math.round(v * 1e5) / 1e5);
  assertEquals(long, {
    norm: [1.2, 0, -1.6],
    each: [0.75, 0, -0.75],
    decay: [8, 10, -4],
    scale: [-6, 0, 8],
    schedule: [27, 0, -36],
    chain: [15, 0, -15],
  });
  assertEquals((await f([0.5, 0], [1])).norm, [0.5, 0, 1]);
  assertEquals(Number.isNaN((await f([NaN, 0], [1])).norm[2]), true, "a broken gradient must be seen");
  run.destroy();
});

Deno.test("weightEma() averages the parameters that the step gives, and begins as a copy that can be donated beside them", async () => {
  const params = await toDevice({ a: { weight: tensor([[1]]), bias: tensor([2]) }, b: [tensor(3)] });
  const optimizer = chain(sgd(1), weightEma(0.75)), step = compiled(optimizer);
  const ones = { a: { weight: tensor([[1]]), bias: tensor([1]) }, b: [tensor(1)] };
  let now = await step(params, optimizer.init(params), ones); // on the device already: the average is a copy
  now = await step(now.params, now.state, ones);
  const averages = leaves((now.state as unknown as { average: Tree }[])[1]!.average);
  assertEquals((await toHost(leaves(now.params))).map((v) => v[0]), [-1, 0, 1]);
  const expected = (x: number): number => 0.75 * (0.75 * x + 0.25 * (x - 1)) + 0.25 * (x - 2);
  (await toHost(averages)).forEach((v, i) => assertAlmostEquals(v[0]!, expected(i + 1), 1e-6));
  step.destroy();
});

Deno.test("an optimizer finds the minimum of a function, alone in a loop and without compile()", async () => {
  const loss = (p: { x: Tensor }) => sum(square(subtract(p.x, tensor([1, -2, 3]))));
  const optimizer = chain(clipByGlobalNorm(1), adam(0.3));
  let params = { x: tensor([0, 0, 0]) }, state = optimizer.init(params);
  for (let i = 0; i < 3; i++) {
    const [updates, next] = optimizer.update(grad(loss)(params), state, params);
    [params, state] = [applyUpdates(params, updates), next];
  }
  assertClose(await toHost(params.x), [0.8, -0.9, 0.9], 0.2);
});

Deno.test("optimizers refuse constants and trees that do not fit", async () => {
  const params = start(), optimizer = adam(), state = optimizer.init(params);
  await assertRefused(
    [() => sgd(0.1, { nesterov: true }), "nesterov needs a momentum above 0: it is 0"],
    [() => sgd(-1), "Cannot make an optimizer: rate must be in [0, Infinity): it is -1"],
    [() => adam(1, { beta1: 1 }), "beta1 must be in [0, 1): it is 1"],
    [() => adafactor(NaN), "rate must be in [0, Infinity): it is NaN"],
    [() => weightEma(1.5), "decay must be in [0, 1): it is 1.5"],
    [() => optimizer.update({ a: params.a } as Params, state, params), 'there is a "b" too many', TypeError],
    [
      () => byGroup({ all: sgd(1) }, (path) => path.slice(0, 1)).init(params),
      'Cannot put "a.weight" in the group "a": it must be one of all',
    ],
  );
});
