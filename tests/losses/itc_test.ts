import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { itcLoss, itcMomentumLoss, type ItcOptions } from "../../src/losses/itc.ts";
import { compile, item, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";

const count = 6, width = 8;
type Features = { image: Tensor; text: Tensor; temp: Tensor };

function features(seed: number): Features {
  const unit = (s: number): Tensor => {
    const data = randomTensor([count, width], s).data as Float32Array;
    for (let at = 0; at < data.length; at += width) {
      const norm = Math.hypot(...data.subarray(at, at + width));
      for (let k = at; k < at + width; k++) data[k]! /= norm;
    }
    return tensor(data, [count, width]);
  };
  return { image: unit(seed), text: unit(seed + 1), temp: tensor(0.07) };
}

/** Loss and gradients. */
async function lossOf(q: Features, options: ItcOptions): Promise<{ loss: number; grads: Float32Array[] }> {
  const step = compile((q: Features) => {
    const [loss, g] = valueAndGrad((q: Features) => itcLoss(q, q.temp, options))(q);
    return [loss, g.image, g.text, g.temp];
  });
  const [loss, ...grads] = await toHost(await step(q)) as Float32Array[];
  step.destroy();
  return { loss: loss![0]!, grads };
}

/** Float64: mean over both directions, with positives given by `share(row, column)`. */
function reference(q: Features, share: (row: number, column: number) => number, consistency: number): number {
  const [u, v] = [q.image, q.text].map((t) => t.node.host as Float32Array) as [Float32Array, Float32Array];
  const logSoftmax = (a: Float32Array, b: Float32Array): number[][] =>
    Array.from({ length: count }, (_, i) => {
      const s = Array.from({ length: count }, (_, j) => {
        let dot = 0;
        for (let k = 0; k < width; k++) dot += a[i * width + k]! * b[j * width + k]!;
        return dot / 0.07;
      });
      const lse = Math.log(s.reduce((n, x) => n + Math.exp(x), 0));
      return s.map((x) => x - lse);
    });
  const i2t = logSoftmax(u, v), t2i = logSoftmax(v, u);
  const term = (p: number[][], target: (i: number, j: number) => number): number =>
    -p.flatMap((row, i) => row.map((x, j) => x * target(i, j))).reduce((a, b) => a + b) / count;
  const hard = term(i2t, share) + term(t2i, share);
  const soft = term(i2t, (i, j) => Math.exp(t2i[i]![j]!)) + term(t2i, (i, j) => Math.exp(i2t[i]![j]!));
  return (hard + consistency * soft) / 2;
}

Deno.test("itcLoss() counts all captions of an image as positives, in equal shares", async () => {
  const q = features(1), ids = [4, 7, 4, 9, 7, 4];
  const { loss, grads } = await lossOf(q, { imageIds: tensor(Uint32Array.from(ids)) });
  const share = (i: number, j: number): number => ids[i] === ids[j] ? 1 / ids.filter((id) => id === ids[i]).length : 0;
  assertAlmostEquals(loss, reference(q, share, 0.2), 1e-4);
  assert(grads.every((g) => g.every(Number.isFinite)));
  const other = await lossOf(q, {});
  assertAlmostEquals(other.loss, reference(q, (i, j) => i === j ? 1 : 0, 0.2), 1e-4);
  assert(Math.abs(other.loss - loss) > 0.01, "the ids change the loss");
});

/** Float64 loss of smoothed targets: (1 - s) * positives + s / N, keys not constant, any width. */
function smoothed(image: ArrayLike<number>, text: ArrayLike<number>, n: number, s: number, same: number[][]): number {
  const d = image.length / n;
  const direction = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const row = Array.from({ length: n }, (_, j) => {
        let dot = 0;
        for (let k = 0; k < d; k++) dot += a[i * d + k]! * b[j * d + k]!;
        return dot / 0.5;
      });
      const most = Math.max(...row), lse = most + Math.log(row.reduce((t, x) => t + Math.exp(x - most), 0));
      row.forEach((x, j) => sum += (lse - x) * ((1 - s) * same[i]![j]! + s / n));
    }
    return sum / n;
  };
  return (direction(image, text) + direction(text, image)) / 2;
}

for (const share of [0.5, 0.1, 1]) {
  for (const ids of [undefined, [3, 1, 3, 2, 1]]) {
    Deno.test(`itcLoss() with ${share} of its targets equal for all pairs, ${ids ? "with" : "without"} ids`, async () => {
      const n = 5,
        same = Array.from({ length: n }, (_, i) => {
          const own = Array.from({ length: n }, (_, j): number => (ids ? ids[i] === ids[j] : i === j) ? 1 : 0);
          return own.map((x) => x / own.reduce((a, b) => a + b, 0));
        });
      const options = { consistency: 0, detachKeys: false, smoothing: share };
      const imageIds = ids && tensor(Uint32Array.from(ids));
      await checkOp(
        (image, text) => itcLoss({ image, text }, tensor(0.5), { ...options, imageIds }),
        [randomTensor([n, 3], 1), randomTensor([n, 3], 2)],
        (image, text) => [smoothed(image.data, text.data, n, share, same)],
        { edges: { domain: (value) => Math.max(-1, Math.min(1, value)) } }, // features have length 1
      );
    });
  }
}

Deno.test("itcLoss(): smoothing by a tensor is that by a number, also with consistency", async () => {
  const q = features(3), numbers = await lossOf(q, { smoothing: 0.3 });
  const step = compile((q: Features, s: Tensor) => itcLoss(q, q.temp, { smoothing: s }));
  assertAlmostEquals(await item(await step(q, tensor(0.3))), numbers.loss, 1e-6);
  assertAlmostEquals(await item(await step(q, tensor(0))), (await lossOf(q, {})).loss, 1e-6);
});

Deno.test("itcLoss() with all images different is that without ids", async () => {
  const q = features(5);
  const some = await lossOf(q, { imageIds: tensor(Uint32Array.of(5, 3, 9, 1, 0, 2)) }), none = await lossOf(q, {});
  assertAlmostEquals(some.loss, none.loss, 1e-5);
  some.grads.forEach((g, i) => assertClose(g, none.grads[i]!, 1e-5));
});

Deno.test("itcLoss() takes the keys as constants unless it is told not to", async () => {
  const q = features(9);
  const fixed = await lossOf(q, { consistency: 0 }), moving = await lossOf(q, { consistency: 0, detachKeys: false });
  assertEquals(fixed.loss, moving.loss);
  assert(fixed.grads[0]!.some((x, i) => Math.abs(x - moving.grads[0]![i]!) > 1e-3));
});

Deno.test("itcMomentumLoss() with its own batch as keys and no soft targets is itcLoss() without consistency", async () => {
  const q = features(13);
  const loss = compile((q: Features) =>
    itcMomentumLoss(q, q.temp, { features: q, image: q.image, text: q.text }, { alpha: 0 })
  );
  assertAlmostEquals(await item(await loss(q)), (await lossOf(q, { consistency: 0 })).loss, 1e-5);
  loss.destroy();
});
