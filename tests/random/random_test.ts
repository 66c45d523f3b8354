import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { philox } from "../../src/random/philox.ts";
import { Random } from "../../src/random/random.ts";

const hex = (words: Uint32Array): string => [...words].map((w) => w.toString(16).padStart(8, "0")).join(" ");

Deno.test("philox() gives the known answers of Random123", () => {
  const ones = 0xFFFFFFFF;
  assertEquals(hex(philox([0, 0, 0, 0], [0, 0])), "6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  assertEquals(hex(philox([ones, ones, ones, ones], [ones, ones])), "408f276d 41c83b0e a20bc7c6 6d5451fd");
  assertEquals(
    hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])),
    "d16cfe09 94fdcceb 5001e420 24126ea1",
  );
});

Deno.test("Random draws the words of consecutive blocks", () => {
  const random = new Random(5 + 7 * 2 ** 32);
  const drawn = Uint32Array.from({ length: 8 }, () => random.nextUint32());
  assertEquals(hex(drawn), `${hex(philox([0, 0, 0, 0], [5, 7]))} ${hex(philox([1, 0, 0, 0], [5, 7]))}`);
});

Deno.test("Random.from() continues a saved stream, after JSON", () => {
  const random = new Random(1).fork(3);
  for (let i = 0; i < 7; i++) random.nextUint32();
  const copy = Random.from(JSON.parse(JSON.stringify(random.state)));
  for (let i = 0; i < 10; i++) assertEquals(copy.nextUint32(), random.nextUint32());
});

Deno.test("fork() depends on its words and their order, not on what was drawn", () => {
  const random = new Random(9);
  const before = random.fork(1, 2).nextUint32();
  random.nextUint32();
  assertEquals(random.fork(1, 2).nextUint32(), before);
  const others = [
    random.fork(2, 1),
    random.fork(1),
    random.fork(1, 2, 0),
    random.fork(1, 2 + 2 ** 32),
    new Random(8).fork(1, 2),
  ];
  for (const other of others) assertNotEquals(other.nextUint32(), before);
});

Deno.test("below() is uniform and covers its range", () => {
  const random = new Random(11), counts = new Int32Array(7);
  for (let i = 0; i < 70_000; i++) counts[random.below(7)]!++;
  const chiSquare = counts.reduce((sum, c) => sum + (c - 10_000) ** 2 / 10_000, 0);
  assertEquals(chiSquare < 22.5, true, `chi square ${chiSquare}`); // 6 degrees of freedom, p = 0.001
});

Deno.test("below() rejects the draws that would bias it", () => {
  // With 2^31 + 1 values almost half of all draws are thrown away; kept, they would favour the lower half.
  const random = new Random(12), n = 2 ** 31 + 1;
  let low = 0;
  for (let i = 0; i < 20_000; i++) if (random.below(n) < n / 2) low++;
  assertEquals(Math.abs(low - 10_000) < 400, true, `${low} of 20000`);
});

Deno.test("uniform() stays inside [low, high) and has the right mean", () => {
  const random = new Random(13);
  let sum = 0;
  for (let i = 0; i < 20_000; i++) {
    const value = random.uniform(2, 4);
    assertEquals(value >= 2 && value < 4, true);
    sum += value;
  }
  assertEquals(Math.abs(sum / 20_000 - 3) < 0.02, true, `mean ${sum / 20_000}`);
});

Deno.test("normal() has the moments of the standard normal, and truncatedNormal() stays within 2 deviations", () => {
  const random = new Random(14), count = 20_000;
  const moments = (draw: () => number): [mean: number, variance: number, most: number] => {
    const x = Array.from({ length: count }, draw), mean = x.reduce((a, b) => a + b) / count;
    return [mean, x.reduce((a, b) => a + (b - mean) ** 2, 0) / count, Math.max(...x.map(Math.abs))];
  };
  const [mean, variance, most] = moments(() => random.normal());
  assertEquals([Math.abs(mean) < 0.03, Math.abs(variance - 1) < 0.05, most > 2.5], [true, true, true]);
  const [cutMean, cutVariance, cutMost] = moments(() => random.truncatedNormal());
  assertEquals([Math.abs(cutMean) < 0.03, Math.abs(cutVariance - 0.774) < 0.04, cutMost <= 2], [true, true, true]);
});

Deno.test("normal() draws what models were initialized with before: saved runs can be repeated", () => {
  const random = new Random(3).fork(0x1417, 2);
  const drawn = Float32Array.from({ length: 4 }, () => random.normal());
  assertEquals([...drawn], [0.8297220468521118, 0.09720677137374878, 0.1770191341638565, -0.7335197925567627]);
});

Deno.test("permutation() is a permutation, and every order is equally likely", () => {
  assertEquals([...new Random(1).permutation(1000)].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i));
  assertEquals(new Random(1).permutation(0).length, 0);
  const random = new Random(2), counts = new Map<string, number>();
  for (let i = 0; i < 12_000; i++) {
    const order = random.permutation(3).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assertEquals(counts.size, 6);
  for (const [order, count] of counts) assertEquals(Math.abs(count - 2000) < 180, true, `${order}: ${count}`);
});

Deno.test("Random refuses seeds and bounds that are no whole numbers in range", () => {
  for (const seed of [-1, 0.5, NaN, 2 ** 53]) assertThrows(() => new Random(seed), RangeError, `${seed}`);
  for (const bound of [0, -1, 1.5, 2 ** 32 + 1]) assertThrows(() => new Random(0).below(bound), RangeError, `${bound}`);
  assertThrows(() => new Random(0).fork(-1), RangeError, "fork word");
});
