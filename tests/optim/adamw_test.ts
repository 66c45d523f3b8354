import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { sum } from "../../src/ops/reduce.ts";
import {
  type AdamWOptions,
  type AdamWState,
  type AdamWStep,
  clipToNorm,
  ema,
  flatAdamW,
  globalNorm,
  stepInputs,
} from "../../src/optim/adamw.ts";
import type { ParameterBuffer } from "../../src/optim/layout.ts";
import { compile, item, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";

const SIZE = 130;
const flats: readonly ParameterBuffer[] = [
  { size: SIZE, decay: true, bounds: undefined },
  { size: SIZE, decay: false, bounds: undefined },
];
const values = (seed: number, scale = 1): Float32Array => randomTensor([SIZE], seed, scale).data as Float32Array;

/** PyTorch's AdamW, in float64 and with its order of operations, on one parameter after the other. */
class Reference {
  readonly #mu: Float64Array;
  readonly #nu: Float64Array;
  #t = 0;

  constructor(readonly values: Float64Array, readonly decay: number) {
    this.#mu = new Float64Array(values.length);
    this.#nu = new Float64Array(values.length);
  }

  step(gradient: ArrayLike<number>, rate: number, { beta1 = 0.9, beta2 = 0.999, eps = 1e-8 }: AdamWOptions): void {
    this.#t++;
    for (let i = 0; i < this.values.length; i++) {
      const g = gradient[i]!;
      this.values[i]! *= 1 - rate * this.decay;
      this.#mu[i] = beta1 * this.#mu[i]! + (1 - beta1) * g;
      this.#nu[i] = beta2 * this.#nu[i]! + (1 - beta2) * g * g;
      const denominator = Math.sqrt(this.#nu[i]!) / Math.sqrt(1 - beta2 ** this.#t) + eps;
      this.values[i]! -= rate / (1 - beta1 ** this.#t) * this.#mu[i]! / denominator;
    }
  }
}

function start(): AdamWState {
  const zeros = (): Tensor[] => flats.map(({ size }) => tensor(new Float32Array(size)));
  return { values: flats.map((_, i) => tensor(values(i))), mu: zeros(), nu: zeros() };
}

function inputs(rate: number, t: number, options?: AdamWOptions): AdamWStep {
  const { rate: r, correction1, correction2 } = stepInputs(rate, t, options);
  return { rate: tensor(r), correction1: tensor(correction1), correction2: tensor(correction2) };
}

for (
  const options of [{}, { beta1: 0.8, beta2: 0.98, eps: 1e-4, weightDecay: 0.3 }, { weightDecay: 0 }] as AdamWOptions[]
) {
  Deno.test(`flatAdamW() is PyTorch's, with ${JSON.stringify(options)}`, async () => {
    const update = compile((state: AdamWState, gradients: Tensor[], step: AdamWStep) =>
      flatAdamW(state, gradients, flats, step, options)
    );
    const { weightDecay = 0.02 } = options;
    const references = flats.map(({ decay }, i) =>
      new Reference(Float64Array.from(values(i)), decay ? weightDecay : 0)
    );
    let state = start();
    for (let t = 1; t <= 12; t++) {
      // Gradients of very different sizes, some of them 0 at first.
      const gradients = flats.map((_, i) =>
        values(10 * t + i).map((g, k) => k % 5 === 0 && t < 4 ? 0 : g * 10 ** (k % 7 - 3))
      );
      const rate = 1e-2 / t;
      state = await update(state, gradients.map((g) => tensor(g)), inputs(rate, t, options));
      references.forEach((r, i) => r.step(gradients[i]!, rate, options));
    }
    const found = await toHost(state.values);
    found.forEach((v, i) => assertClose(v, references[i]!.values, 2e-6, 1e-7));
    update.destroy();
  });
}

Deno.test("flatAdamW() decays only the buffers that are to decay", async () => {
  const update = compile((state: AdamWState, gradients: Tensor[], step: AdamWStep) =>
    flatAdamW(state, gradients, flats, step, { weightDecay: 0.5 })
  );
  const zeros = flats.map(() => tensor(new Float32Array(SIZE)));
  const [decayed, kept] = await toHost((await update(start(), zeros, inputs(0.1, 1))).values);
  assertClose(decayed!, values(0).map((v) => v * 0.95), 1e-6);
  assertEquals(kept, values(1));
  update.destroy();
});

Deno.test("flatAdamW() puts values back into their bounds", async () => {
  const bounded: readonly ParameterBuffer[] = [{ size: 3, decay: true, bounds: [0.001, 0.5] }];
  const update = compile((state: AdamWState, gradients: Tensor[], step: AdamWStep) =>
    flatAdamW(state, gradients, bounded, step)
  );
  const zeros = (): Tensor[] => [tensor(new Float32Array(3))];
  const state = { values: [tensor([0.07, 0.49, 0.07])], mu: zeros(), nu: zeros() };
  const next = await update(state, [tensor([3, -3, 0])], inputs(0.1, 1));
  const [low, high, middle] = await toHost(next.values[0]!);
  assertEquals([low, high], [Math.fround(0.001), 0.5]);
  assertAlmostEquals(middle!, 0.07 * (1 - 0.1 * 0.02), 1e-8);
  update.destroy();
});

Deno.test("flatAdamW() leaves every bit as it is where apply is 0, whatever the gradients are", async () => {
  const update = compile((state: AdamWState, gradients: Tensor[], step: AdamWStep, apply: Tensor) =>
    flatAdamW(state, gradients, flats, step, { apply })
  );
  const good = flats.map((_, i) => tensor(values(i + 5)));
  const one = await update(start(), good, inputs(0.1, 1), tensor(1));
  const bad = flats.map(() =>
    tensor(new Float32Array(SIZE).map((_, i) => i % 3 === 0 ? NaN : i % 3 === 1 ? Infinity : 1))
  );
  const two = await update(one, bad, inputs(0.1, 2), tensor(0));
  for (const part of ["values", "mu", "nu"] as const) {
    assertEquals(await toHost(two[part]), await toHost(one[part]), part);
  }
  const three = await update(two, good, inputs(0.1, 2), tensor(1));
  assert((await toHost(three.values[0]!)).some((v, i) => v !== values(0)[i]));
  update.destroy();
});

Deno.test("stepInputs() corrects the moments of step 1 fully and those of late steps not at all", () => {
  assertAlmostEquals(stepInputs(1, 1).correction1, 10, 1e-12);
  assertAlmostEquals(stepInputs(1, 1).correction2, 1000, 1e-9);
  assertAlmostEquals(stepInputs(1, 100_000).correction2, 1, 1e-12);
});

Deno.test("globalNorm() is the length of all gradients together", async () => {
  const gradients = [values(1), values(2, 30), new Float32Array(64)];
  const expected = Math.sqrt(gradients.flatMap((g) => [...g]).reduce((n, x) => n + x * x, 0));
  const norm = compile((...g: Tensor[]) => globalNorm(g));
  assertAlmostEquals(await item(await norm(...gradients.map((g) => tensor(g)))), expected, 1e-5 * expected);
  norm.destroy();
});

Deno.test("clipToNorm() shortens long gradients to the limit and leaves short ones", async () => {
  const clip = compile((a: Tensor, b: Tensor) => clipToNorm([a, b], globalNorm([a, b]), 2));
  const [a, b] = await toHost(await clip(tensor([3, 0]), tensor([0, 4])));
  assertClose([...a!, ...b!], [1.2, 0, 0, 1.6], 1e-6);
  const short = await toHost(await clip(tensor([0.3, 0]), tensor([0, 0.4])));
  assertEquals(short.map((g) => [...g]), [[Math.fround(0.3), 0], [0, Math.fround(0.4)]]);
  const none = await toHost(await clip(tensor([0, 0]), tensor([0, 0])));
  assertEquals(none.map((g) => [...g]), [[0, 0], [0, 0]]);
  clip.destroy();
});

Deno.test("ema() moves each average by 1 - decay of the way to the value of its name", async () => {
  const average = compile((a: Tensor, b: Tensor) => ema({ x: { y: a } }, { other: { y: a }, x: { y: b } }, 0.75).x.y);
  assertEquals([...await toHost(await average(tensor([1, -4]), tensor([5, 4])))], [2, -2]);
  average.destroy();
  assertThrows(
    () => ema({ x: { y: tensor(1) } }, { x: { z: tensor(1) }, y: tensor(1) }, 0.75),
    RangeError,
    'Cannot average "x.y": there is no value of that name',
  );
});

Deno.test("no gradient flows from ema() to the values", async () => {
  const gradients = compile(grad((p: { a: Tensor; b: Tensor }) => sum(ema([p.a], [p.b], 0.75)[0]!)));
  const { a, b } = await gradients({ a: tensor([1, -4]), b: tensor([5, 4]) });
  assertEquals((await toHost([a, b])).map((g) => [...g]), [[0.75, 0.75], [0, 0]]);
  gradients.destroy();
});
