import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { imageLocals, localLoss, textLocals } from "../../src/losses/local.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";

const B = 5, J = 3, D = 4;
/** The last example has no part at all, the third one. */
const MASK = [1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0];

/** Float64, as the formula is written; `mask` of all parts [B * J]. */
function reference(wholes: Values, locals: Values, temperature: Values, mask: readonly number[]): number[] {
  const logit = (i: number, k: number, j: number): number => {
    let dot = 0;
    for (let c = 0; c < D; c++) dot += wholes.data[i * D + c]! * locals.data[(k * J + j) * D + c]!;
    return dot / temperature.data[0]!;
  };
  let total = 0;
  for (let i = 0; i < B; i++) {
    const others: number[] = [], losses: number[] = [];
    for (let k = 0; k < B; k++) {
      for (let j = 0; j < J; j++) if (k !== i && mask[k * J + j]) others.push(logit(i, k, j));
    }
    for (let j = 0; j < J; j++) {
      if (!mask[i * J + j]) continue;
      const own = logit(i, i, j), most = Math.max(own, ...others);
      losses.push(most + Math.log([own, ...others].reduce((sum, x) => sum + Math.exp(x - most), 0)) - own);
    }
    total += losses.reduce((a, b) => a + b, 0) / Math.max(1, losses.length);
  }
  return [total / B];
}

for (const mask of [undefined, MASK]) {
  for (const tile of [undefined, 2 * B * J + 1, 1]) {
    const name = `${mask ? "with" : "without"} padding, ${tile ? `${tile} logits at a time` : "in one piece"}`;
    Deno.test(`localLoss() ${name}, agrees with the formula in float64`, async () => {
      const given = mask ? { mask: tensor(Float32Array.from(mask), [B, J]) } : {};
      await checkOp(
        (wholes, features, temperature) => localLoss(wholes, { features, ...given }, temperature, tile),
        [randomTensor([B, D], 1), randomTensor([B, J, D], 2), { data: Float32Array.of(0.3), shape: [] }],
        (wholes, locals, temperature) => reference(wholes, locals, temperature, mask ?? Array(B * J).fill(1)),
        {
          wrt: [0, 2], // parts are constants
          // Features have length 1, and the temperature stays above its bound.
          edges: { domain: (x, input) => input === 2 ? 0.2 + Math.min(1, Math.abs(x)) : Math.max(-1, Math.min(1, x)) },
        },
      );
    });
  }
}

Deno.test("localLoss() has no gradient to the parts, and alone in its mini-batch an example has loss 0", async () => {
  const step = compile((wholes: Tensor, features: Tensor) => {
    const loss = valueAndGrad((q: Tensor[]) => localLoss(q[0]!, { features: q[1]! }, tensor(0.07)));
    const [value, grads] = loss([wholes, features]);
    return [value, ...grads];
  });
  const run = async (count: number): Promise<Float32Array[]> => {
    const inputs = [[count, D], [count, J, D]].map((shape, i) => tensor(randomTensor(shape, i).data, shape));
    return await toHost(await step(inputs[0]!, inputs[1]!)) as Float32Array[];
  };
  const [loss, wholes, parts] = await run(B);
  assert(loss![0]! > 0 && wholes!.some((g) => Math.abs(g) > 1e-3));
  assert(parts!.every((g) => g === 0));
  const alone = await run(1);
  assert(alone.every((values) => values.every((x) => x === 0)), `${alone}`);
});

/** Rows of length 1 of a projection of the tokens behind the first, in float64. */
function tokens(states: Values, weight: ArrayLike<number>, bias: ArrayLike<number>): number[][][] {
  const [batch, length, width] = states.shape as [number, number, number], d = bias.length;
  return Array.from({ length: batch }, (_, b) =>
    Array.from({ length: length - 1 }, (_, t) => {
      const row = Array.from({ length: d }, (_, c) => {
        let sum = bias[c]!;
        for (let k = 0; k < width; k++) {
          sum += weight[c * width + k]! * states.data[(b * length + t + 1) * width + k]!;
        }
        return sum;
      });
      return row.map((x) => x / Math.hypot(...row));
    }));
}

/** The side of the grid, that of its windows, and how many windows lie in a row. */
const GRIDS = [[1, 1, 1], [2, 1, 2], [4, 2, 2], [5, 2, 2], [6, 2, 3], [9, 3, 3]] as const;

Deno.test("imageLocals() are means of unit features in windows of side floor(sqrt(n)); the rest is cut off", async () => {
  const width = 3, weight = randomTensor([D, width], 3), bias = randomTensor([D], 4);
  const projection = { weight: tensor(weight.data, weight.shape), bias: tensor(bias.data, bias.shape) };
  for (const [n, side, k] of GRIDS) {
    const states = randomTensor([2, n * n + 1, width], n),
      run = compile((x: Tensor) => imageLocals(projection, x).features);
    const [ours] = await toHost([await run(tensor(states.data, states.shape))]) as [Float32Array];
    run.destroy();
    const wide = { data: Float64Array.from(states.data), shape: states.shape };
    const expected = tokens(wide, weight.data, bias.data).flatMap((rows) =>
      Array.from({ length: k * k * D }, (_, at) => {
        const c = at % D, window = Math.floor(at / D), top = Math.floor(window / k) * side, left = window % k * side;
        let sum = 0;
        for (let y = top; y < top + side; y++) for (let x = left; x < left + side; x++) sum += rows[y * n + x]![c]!;
        return sum / side ** 2;
      })
    );
    assertClose(ours, expected, 1e-5);
  }
});

Deno.test("textLocals() are unit features of all tokens but [CLS]", async () => {
  const states = randomTensor([2, 4, 3], 1), weight = randomTensor([D, 3], 3), bias = randomTensor([D], 4);
  const projection = { weight: tensor(weight.data, weight.shape), bias: tensor(bias.data, bias.shape) };
  const run = compile((x: Tensor, mask: Tensor) => {
    const locals = textLocals(projection, x, mask);
    return [locals.features, locals.mask!];
  });
  const results = await run(
    tensor(states.data, states.shape),
    tensor(Float32Array.of(1, 1, 1, 0, 1, 1, 0, 0), [2, 4]),
  );
  assertEquals(results.map(({ shape }) => shape), [[2, 3, D], [2, 3]]);
  const [features, mask] = await toHost(results) as [Float32Array, Float32Array];
  const wide = { data: Float64Array.from(states.data), shape: states.shape };
  tokens(wide, weight.data, bias.data).flat(2).forEach((x, i) => assertAlmostEquals(features[i]!, x, 1e-6));
  assertEquals([...mask], [1, 1, 0, 1, 0, 0]);
});
