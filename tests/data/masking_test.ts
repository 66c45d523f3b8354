import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { IGNORED_LABEL, maskTokens } from "../../src/data/masking.ts";
import { Random } from "../../src/random/random.ts";

const options = { probability: 0.5, vocabularySize: 1000, maskId: 4, padId: 0, clsId: 2 };
const length = 60_000;
/** Rows of ten: [CLS], seven words, two places of padding. */
const ids = Uint32Array.from({ length }, (_, i) => i % 10 === 0 ? 2 : i % 10 > 7 ? 0 : 100 + i % 50);
const mask = Float32Array.from(ids, (id) => id === 0 ? 0 : 1);

Deno.test("maskTokens() chooses words with the probability given, never padding or [CLS]", () => {
  for (const probability of [0.15, 0.5]) {
    const { ids: masked, labels } = maskTokens(ids, mask, { ...options, probability }, new Random(1));
    const chosen = [...labels.keys()].filter((i) => labels[i] !== IGNORED_LABEL);
    assertAlmostEquals(chosen.length / (length * 0.7), probability, 0.01);
    for (const i of chosen) assert(ids[i] !== 0 && ids[i] !== 2 && labels[i] === ids[i]);
    for (const [i, id] of masked.entries()) if (labels[i] === IGNORED_LABEL) assertEquals(id, ids[i]);
  }
});

Deno.test("maskTokens() masks 80 %, replaces 10 % by any id of the vocabulary and leaves 10 %", () => {
  const { ids: masked, labels } = maskTokens(ids, mask, { ...options, probability: 1 }, new Random(2));
  const chosen = [...labels.keys()].filter((i) => labels[i] !== IGNORED_LABEL), n = chosen.length;
  assertEquals(n, length * 0.7);
  assertAlmostEquals(chosen.filter((i) => masked[i] === 4).length / n, 0.8 + 0.1 / 1000, 0.006);
  assertAlmostEquals(chosen.filter((i) => masked[i] === ids[i]).length / n, 0.1 + 0.1 / 1000, 0.005);
  const random = chosen.map((i) => masked[i]!).filter((id) => id !== 4 && (id < 100 || id >= 150));
  assert(random.every((id) => id < 1000));
  assert(random.includes(0) && random.includes(3) && random.includes(999), "special ids are drawn too");
  assertAlmostEquals(random.filter((id) => id < 500).length / random.length, 449 / 949, 0.03);
});

Deno.test("maskTokens() with probability 0 changes nothing and asks for nothing", () => {
  const result = maskTokens(ids, mask, { ...options, probability: 0 }, new Random(3));
  assertEquals(result.ids, ids);
  assert(result.labels.every((label) => label === IGNORED_LABEL));
});

Deno.test("maskTokens() is a function of the random numbers", () => {
  const run = (seed: number) => maskTokens(ids.subarray(0, 100), mask.subarray(0, 100), options, new Random(seed));
  assertEquals(run(5), run(5));
  assert(run(5).ids.some((id, i) => id !== run(6).ids[i]));
});

Deno.test("maskTokens() refuses a probability that is none", () => {
  for (const probability of [-0.1, 1.1, NaN]) {
    assertThrows(
      () => maskTokens(ids, mask, { ...options, probability }, new Random(0)),
      RangeError,
      "must be from 0 to 1",
    );
  }
});
