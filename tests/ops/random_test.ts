import { assert, assertEquals, assertThrows } from "@std/assert";
import { philox } from "../../src/random/philox.ts";
import { grad } from "../../src/autograd/grad.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { dropout, foldIn, gumbel, randomKey, uniform } from "../../src/ops/random.ts";
import { sum } from "../../src/ops/reduce.ts";
import { reshape } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder } from "../testing/run_op.ts";

const words = (a: number, b: number): Tensor => tensor(Uint32Array.of(a, b));
const average = (x: ArrayLike<number>): number => Array.from(x).reduce((a, b) => a + b, 0) / x.length;

function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [ma, mb] = [average(a), average(b)];
  let ab = 0, aa = 0, bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += (a[i]! - ma) * (b[i]! - mb);
    aa += (a[i]! - ma) ** 2;
    bb += (b[i]! - mb) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

Deno.test("uniform() gives the upper 24 bits of Philox words of (position, stream), in both vector widths", async () => {
  const key = foldIn(randomKey(words(0xa4093822, 0x299f31d0)), 3);
  for (const shape of [[8, 4], [31]]) {
    const drawn = await toHost(uniform(key, shape));
    const expected = Array.from(drawn, (_, i) => {
      const block = philox([i >> 2, key.stream, 0, 0], [0xa4093822, 0x299f31d0]);
      return (block[i & 3]! >>> 8) / 2 ** 24;
    });
    assertEquals([...drawn], expected);
  }
});

Deno.test("uniform() is flat: moments and every one of 16 bins", async () => {
  const x = await toHost(uniform(randomKey(words(1, 2)), [1 << 16]));
  assert(Math.abs(average(x) - 0.5) < 0.005);
  assert(Math.abs(average(x.map((v) => (v - 0.5) ** 2)) - 1 / 12) < 0.002);
  const bins = new Array(16).fill(0);
  for (const v of x) bins[Math.floor(v * 16)]++;
  const chi = bins.reduce((all, n) => all + (n - 4096) ** 2 / 4096, 0);
  assert(chi < 37.7, `chi-square ${chi} of 15 degrees of freedom exceeds its 0.1 % quantile`);
  assert(x.every((v) => v >= 0 && v < 1));
});

Deno.test("gumbel() has the mean and the variance of the Gumbel distribution, and no infinity", async () => {
  const x = await toHost(gumbel(randomKey(words(3, 4)), [1 << 15])), mean = average(x);
  assert(Math.abs(mean - 0.5772) < 0.03, `mean ${mean}`); // Euler's constant
  const variance = average(x.map((v) => (v - mean) ** 2));
  assert(Math.abs(variance - Math.PI ** 2 / 6) < 0.06, `variance ${variance}`);
  assert(x.every(Number.isFinite));
});

Deno.test("streams, keys and neighbours are independent; equal keys give equal numbers", async () => {
  const key = randomKey(words(5, 6)), shape = [1 << 14];
  const [a, b, c, d, again] = await toHost([
    uniform(foldIn(key, 0), shape),
    uniform(foldIn(key, 1), shape),
    uniform(foldIn(randomKey(words(5, 7)), 0), shape),
    uniform(foldIn(foldIn(key, 0), 0), shape),
    uniform(foldIn(randomKey(words(5, 6)), 0), shape),
  ]);
  const shifted = a!.map((_, i) => a![(i + 1) % a!.length]!);
  for (const other of [b!, c!, d!, shifted]) {
    const r = correlation(a!, other);
    assert(Math.abs(r) < 0.04, `correlation ${r}`);
  }
  assertEquals(again, a);
});

Deno.test("foldIn() gives 100,000 paths of small numbers different streams but for a few", () => {
  const seen = new Set<number>(), key = { words: placeholder([2], "u32"), stream: 0 };
  for (let i = 0; i < 100; i++) {
    for (let j = 0; j < 100; j++) for (let k = 0; k < 10; k++) seen.add(foldIn(foldIn(foldIn(key, i), j), k).stream);
  }
  assert(seen.size > 100_000 - 10, `${seen.size} streams`); // 1.2 collisions are expected of random 32-bit numbers
});

Deno.test("dropout() keeps a share of 1 - p, scaled, and zeroes the same elements of the gradient", async () => {
  const x = tensor(new Float32Array(1 << 15).fill(2), [1 << 11, 16]);
  for (const p of [0.1, 0.5, 0.9]) {
    const f = compile((v: Tensor, key: Tensor) => {
      const drop = (u: Tensor) => dropout(u, p, foldIn(randomKey(key), 1));
      return [drop(v), grad((u: Tensor) => sum(drop(u)))(v)];
    });
    const [y, dy] = await toHost(await f(x, words(3, 4)));
    const kept = y!.filter((v) => v !== 0);
    assert(Math.abs(kept.length / y!.length - (1 - p)) < 0.012, `kept ${kept.length / y!.length}`);
    assert(kept.every((v) => Math.abs(v - 2 / (1 - p)) < 1e-5 * v));
    assertEquals(dy!.map((v) => 2 * v), y);
    const [other] = await toHost(await f(x, words(3, 5)));
    const same = y!.filter((v, i) => (v === 0) === (other![i] === 0)).length / y!.length;
    assert(Math.abs(same - (p * p + (1 - p) ** 2)) < 0.015, `${same} of the mask is the same under another key`);
  }
});

Deno.test("a mask that is broadcast, reshaped or used twice is one mask", async () => {
  const f = compile((x: Tensor, key: Tensor) => {
    const mask = uniform(foldIn(randomKey(key), 2), [6, 1]);
    const flat = uniform(foldIn(randomKey(key), 2), [6]);
    return [mask, multiply(x, mask), add(reshape(mask, [6]), flat), add(x, reshape(flat, [6, 1]))];
  });
  const [mask, scaled, doubled, shifted] = await toHost(
    await f(tensor(new Float32Array(24).fill(1), [6, 4]), words(8, 9)),
  );
  assertEquals([...scaled!], Array.from(scaled!, (_, i) => mask![i >> 2]!));
  assertEquals([...doubled!], Array.from(mask!, (v) => 2 * v));
  assertEquals([...shifted!], Array.from(shifted!, (_, i) => Math.fround(1 + mask![i >> 2]!)));
});

Deno.test("dropout() without a key or with probability 0 is the identity; probabilities and keys are checked", () => {
  const x = placeholder([3]), key = randomKey(placeholder([2], "u32"));
  assertEquals(dropout(x, 0.5, undefined), x);
  assertEquals(dropout(x, 0, key), x);
  assertThrows(() => dropout(x, 1, key), RangeError, "the probability must be in [0, 1): it is 1");
  assertThrows(() => dropout(x, NaN, key), RangeError, "it is NaN");
  assertThrows(() => uniform(randomKey(placeholder([2])), [3]), TypeError, "the key must be u32[2]: it is f32[2]");
});
