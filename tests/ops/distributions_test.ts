import { assert, assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import {
  bernoulli,
  categorical,
  choice,
  normal,
  permutation,
  shuffle,
  truncatedNormal,
} from "../../src/ops/distributions.ts";
import { add } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { foldIn, type Key, randint, randomBits, randomKey, splitKey, uniform } from "../../src/ops/random.ts";
import { broadcastTo, sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { HostArray, Tensor } from "../../src/program/graph.ts";
import { philox } from "../../src/random/philox.ts";
import { chiSquare, distance, moments, normalShare } from "../testing/normal.ts";
import { assertRefused } from "../testing/refusals.ts";

const KS = 1.95; // beyond the 99.9 % quantile of Kolmogorov and Smirnov's distance
const key = (seed: number): Key => randomKey(seed);
const words = (seed: number): Tensor => tensor(Uint32Array.of(seed, 0));

function counts(drawn: HostArray, classes: number): number[] {
  const all = new Array(classes).fill(0);
  for (const x of drawn) all[x]++;
  return all;
}

/** Every kind of draw from one key. */
function draws(key: Key): Tensor[] {
  const keys = splitKey(key, 10), at = (i: number): Key => keys[i]!;
  return [
    uniform(at(0), [8, 16], { low: -1, high: 3 }),
    normal(at(1), [9, 13], { mean: 1, deviation: 0.5 }),
    truncatedNormal(at(2), [4, 8]),
    bernoulli(at(3), [50], 0.3),
    randint(at(4), [33], -5, 6),
    randomBits(at(5), [4]),
    categorical(at(6), tensor(new Float32Array(60), [10, 6])),
    permutation(at(7), 37),
    choice(at(8), 9, 5, { replace: false }),
    uniform(foldIn(at(9), tensor(Int32Array.of(3), [])), [8]),
  ];
}

Deno.test("a key gives the same numbers inside and outside of compile() and with every call", async () => {
  const outside = await toHost(draws(randomKey(words(7))));
  const compiled = compile((words: Tensor) => draws(randomKey(words)));
  assertEquals(await toHost(await compiled(words(7))), outside);
  assertEquals(await toHost(await compiled(words(7))), outside);
  assertEquals(await toHost(draws(key(7))), outside, "a seed is the low word of a key");
  const others = await toHost(await compiled(words(8)));
  others.forEach((x, i) => assert(String(x) !== String(outside[i]), `draw ${i} is the same under another key`));
  compiled.destroy();
});

Deno.test("randomBits() are Philox words, and randint() takes 64 of them, in both vector widths", async () => {
  const { words, stream } = foldIn(key(5), 2);
  for (const n of [8, 7]) {
    const [bits, drawn] = await toHost([
      randomBits({ words, stream }, [n]),
      randint({ words, stream }, [n], -7, 3_000_000),
    ]);
    const block = (i: number, kind: number): Uint32Array => philox([i, stream, kind, 0], [5, 0]);
    assertEquals([...bits!], Array.from({ length: n }, (_, i) => block(i >> 2, 0)[i & 3]!));
    const expected = Array.from({ length: n }, (_, i) => {
      const [high, low] = block(i >> 1, 1).subarray(2 * (i & 1));
      return Number((BigInt(high!) << 32n | BigInt(low!)) * 3_000_007n >> 64n) - 7;
    });
    assertEquals([...drawn!], expected);
  }
});

Deno.test("foldIn() of a number on the GPU gives keys of their own, one for each number, stream and kind of number", async () => {
  const bits = (...data: (number | Tensor)[]): Tensor => randomBits(data.reduce<Key>(foldIn, key(3)), [1]);
  const at = (x: number): Tensor => tensor(Int32Array.of(x), []);
  const all = await toHost([
    bits(0),
    bits(1),
    bits(at(0)),
    bits(at(1)),
    bits(at(-1)),
    bits(0, at(1)),
    bits(at(1), 0),
    bits(at(0), at(1)),
  ]);
  assertEquals(new Set(all.map((x) => x[0])).size, 8);
  const [u, constant] = await toHost([bits(tensor(Uint32Array.of(1), [])), bits(full([], 1, "i32"))]);
  assertEquals([u![0], constant![0]], [all[3]![0], all[3]![0]]);
});

Deno.test("uniform() between bounds is flat and below the upper one; bounds may be tensors with gradients", async () => {
  const x = await toHost(uniform(key(1), [1 << 13], { low: -2, high: 6 }));
  assert(distance(x, (v) => (v + 2) / 8) < KS);
  assert(x.every((v) => v >= -2 && v < 6));
  const narrow = await toHost(uniform(key(1), [1 << 10], { low: 1 - 2 ** -24, high: 1 + 2 ** -23 })); // two floats
  assertEquals(new Set(narrow), new Set([1 - 2 ** -24, 1]));
  const high = tensor([[1], [2]]), of = (high: Tensor): Tensor => uniform(key(1), [2, 8], { high });
  const [rows, slopes, unit] = await toHost([of(high), grad((h: Tensor) => sum(of(h)))(high), uniform(key(1), [2, 8])]);
  assertEquals([...rows!], Array.from(unit!, (v, i) => i < 8 ? v : 2 * v));
  for (const row of [0, 1]) {
    const expected = Array.from(unit!).slice(8 * row, 8 * row + 8).reduce((a, b) => a + b);
    assert(Math.abs(slopes![row]! - expected) < 1e-5);
  }
});

Deno.test("normal() has the normal distribution, with mean, deviation and no correlation of neighbours", async () => {
  const x = await toHost(normal(key(2), [1 << 14])), { mean, variance } = moments(x), n = x.length;
  assert(
    Math.abs(mean) < 3.3 / Math.sqrt(n) && Math.abs(variance - 1) < 3.3 * Math.sqrt(2 / n),
    `${mean}, ${variance}`,
  );
  assert(distance(x, normalShare) < KS);
  const product = Array.from(x).reduce((all, v, i) => all + v * x[(i + 1) % n]!, 0) / n;
  assert(Math.abs(product) < 3.3 / Math.sqrt(n), `correlation ${product}`);
  const shifted = await toHost(normal(key(2), [1 << 14], { mean: tensor(3), deviation: 0.5 }));
  shifted.forEach((v, i) => assert(Math.abs(v - (3 + x[i]! / 2)) < 1e-6));
});

Deno.test("truncatedNormal() has the normal distribution between its bounds", async () => {
  for (const [low, high] of [[-2, 2], [0.5, 5]] as const) {
    const x = await toHost(truncatedNormal(key(3), [1 << 13], low, high)), [from, to] = [low, high].map(normalShare);
    assert(distance(x, (v) => (normalShare(v) - from!) / (to! - from!)) < KS, `from ${low} to ${high}`);
    assert(x.every((v) => v >= low && v <= high));
  }
  const { mean, variance } = moments(await toHost(truncatedNormal(key(4), [1 << 13])));
  assert(Math.abs(mean) < 0.032 && Math.abs(variance - 0.7737) < 0.03, `${mean}, ${variance}`);
});

Deno.test("bernoulli() is 1 with its probability, one for each element too", async () => {
  const [rare, even] = await toHost([bernoulli(key(5), [1 << 13], 0.1), bernoulli(key(6), [1 << 13])]);
  assert(chiSquare(counts(rare!, 2), [0.9, 0.1]) < 10.9 && chiSquare(counts(even!, 2), [1, 1]) < 10.9);
  const each = await toHost(bernoulli(key(6), [3, 4], tensor([0, 1, 0, 1])));
  assertEquals([...each], [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
});

Deno.test("randint() is flat over any range of its type, the largest included", async () => {
  const small = await toHost(randint(key(7), [1 << 13], 0, 10));
  assert(chiSquare(counts(small, 10), new Array(10).fill(1)) < 27.9); // 9 degrees of freedom
  const low = -(2 ** 31), large = await toHost(randint(key(8), [1 << 13], low, 2 ** 31 - 1));
  assert(distance(large, (v) => (v - low) / 2 ** 32) < KS);
  const third = await toHost(randint(key(9), [1 << 13], 0, 3 * 2 ** 30, "u32")); // a remainder would favour the first third
  assert(distance(third, (v) => v / (3 * 2 ** 30)) < KS);
  assertEquals([...await toHost(randint(key(9), [3], -4, -3))], [-4, -4, -4]);
});

Deno.test("categorical() draws by the softmax of its logits, along any axis, and never what is -Infinity", async () => {
  const shares = [1, 4, 0, 2, 3], logits = tensor(shares.map((s) => Math.log(s)));
  const rows = await toHost(categorical(key(10), broadcastTo(logits, [1 << 12, 5])));
  const found = counts(rows, 5);
  assertEquals(found[2], 0);
  assert(chiSquare(found.toSpliced(2, 1), [1, 4, 2, 3]) < 16.3); // 3 degrees of freedom
  const certain = tensor([[0, -Infinity, -Infinity], [-Infinity, -Infinity, 0]]);
  assertEquals([...await toHost(categorical(key(10), certain))], [0, 2]);
  assertEquals([...await toHost(categorical(key(10), certain, { axis: 0 }))].filter((_, i) => i !== 1), [0, 1]);
});

Deno.test("permutation() is one, every order is equally likely, and shuffle() moves whole parts", async () => {
  const long = await toHost(permutation(key(11), 3000)); // sorted twice
  assertEquals([...long].sort((a, b) => a - b), Array.from({ length: 3000 }, (_, i) => i));
  const many = compile((words: Tensor) =>
    Array.from({ length: 40 }, (_, i) => permutation(foldIn(randomKey(words), i), 3))
  );
  const orders = new Map<string, number>();
  for (let seed = 0; seed < 30; seed++) {
    for (const order of await toHost(await many(words(seed)))) {
      orders.set(order.join(""), (orders.get(order.join("")) ?? 0) + 1);
    }
  }
  many.destroy();
  assertEquals(orders.size, 6);
  assert(chiSquare([...orders.values()], new Array(6).fill(1)) < 20.5); // 5 degrees of freedom
  const x = tensor([[1, 2, 3], [10, 20, 30]]);
  const [columns, order, rows] = await toHost([shuffle(key(12), x, 1), permutation(key(12), 3), shuffle(key(12), x)]);
  assertEquals([...columns!], [...Array.from(order!, (i) => i + 1), ...Array.from(order!, (i) => 10 * (i + 1))]);
  assertEquals([...rows!].sort((a, b) => a - b), [1, 2, 3, 10, 20, 30]);
});

Deno.test("choice() draws with and without replacement, by weights or not", async () => {
  const weights = tensor([1, 0, 2, 5]), n = 1 << 11;
  const [alike, weighted] = await toHost([choice(key(13), 4, n), choice(key(14), 4, n, { weights })]);
  assert(chiSquare(counts(alike!, 4), [1, 1, 1, 1]) < 16.3);
  const found = counts(weighted!, 4);
  assertEquals(found[1], 0);
  assert(chiSquare(found.toSpliced(1, 1), [1, 2, 5]) < 13.9); // 2 degrees of freedom
  const all = await toHost(choice(key(15), 6, 6, { replace: false }));
  assertEquals([...all].sort(), [0, 1, 2, 3, 4, 5]);
  const first = compile((words: Tensor) =>
    Array.from({ length: 40 }, (_, i) => choice(foldIn(randomKey(words), i), 4, 2, { replace: false, weights }))
  );
  const pairs = new Array(16).fill(0);
  for (let seed = 0; seed < 20; seed++) {
    for (const [a, b] of await toHost(await first(words(seed)))) pairs[4 * a! + b!]++;
  }
  first.destroy();
  const share = [1, 0, 2, 5],
    expected = share.flatMap((a, i) => share.map((b, k) => i === k ? 0 : a / 8 * b / (8 - a)));
  const possible = expected.map((e, i) => e ? i : -1).filter((i) => i >= 0);
  assertEquals(pairs.reduce((a, b) => a + b), possible.reduce((all, i) => all + pairs[i], 0));
  assert(chiSquare(possible.map((i) => pairs[i]), possible.map((i) => expected[i]!)) < 20.5); // 5 degrees of freedom
});

Deno.test("draws refuse keys, bounds and numbers that do not fit", async () => {
  const k = key(0);
  await assertRefused(
    [() => randomKey(-1), "the seed must be a whole number from 0 to 2^53 - 1: it is -1"],
    [() => foldIn(k, tensor(0.5)), "Cannot apply foldIn: the data must be (i32 or u32)[]: it is f32[]", TypeError],
    [() => foldIn(k, add(tensor(Int32Array.of(1, 2)), 0)), "the data must be (i32 or u32)[]: it is i32[2]"],
    [() => splitKey(k, 0), "count must be an integer from 1"],
    [() => uniform(k, [2], { low: 1, high: 1 }), "low must be below high, both finite in f32: they are 1 and 1"],
    [() => uniform(k, [2], { high: Infinity }), "they are 0 and Infinity"],
    [() => truncatedNormal(k, [2], -6, 0), "bounds must be from -5 to 5"],
    [() => bernoulli(k, [2], 1.5), "the probability must be from 0 to 1: it is 1.5"],
    [() => randint(k, [2], 0, 0), "they are 0 and 0"],
    [() => randint(k, [2], -1, 2 ** 32, "u32"), "whole numbers of type u32"],
    [() => randint(k, [2], 0.5, 2), "they are 0.5 and 2"],
    [() => categorical(k, tensor(Int32Array.of(1))), "logits must be f32 or f16: it is i32", TypeError],
    [() => permutation(k, 0), "n must be an integer from 1"],
    [() => choice(k, 3, 4, { replace: false }), "count must be at most 3 without replacement: it is 4"],
    [() => choice(k, 3, 1, { weights: tensor([1]) }), "weights must be f32[3]: it is f32[1]"],
  );
});
