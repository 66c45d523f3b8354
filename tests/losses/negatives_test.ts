import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  chooseNegatives,
  NEGATIVE_KINDS,
  type NegativeKind,
  negativesAt,
  type PairNegatives,
  pairNegatives,
} from "../../src/losses/negatives.ts";
import { randomKey } from "../../src/ops/random.ts";
import { stack } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { randomTensor } from "../testing/reference.ts";

/** Draws for many keys: one row of negatives for each. */
async function draw(
  logits: Float32Array,
  kind: NegativeKind,
  times: number,
  imageIds?: readonly number[],
): Promise<number[][]> {
  const count = Math.sqrt(logits.length), per = 50;
  const many = compile((x: Tensor, words: Tensor, ids: Tensor) =>
    stack(
      Array.from({ length: per }, (_, i) => chooseNegatives(x, kind, { words, stream: i }, imageIds ? ids : undefined)),
    )
  );
  const rows: number[][] = [];
  for (let t = 0; t < times; t += per) {
    const ids = tensor(Uint32Array.from(imageIds ?? [0]));
    const values = await toHost(await many(tensor(logits, [count, count]), tensor(Uint32Array.of(7, t)), ids));
    for (let i = 0; i < per; i++) rows.push(Array.from(values.subarray(i * count, (i + 1) * count)));
  }
  many.destroy();
  return rows;
}

for (const kind of NEGATIVE_KINDS) {
  Deno.test(`chooseNegatives() "${kind}" never takes the pair itself, even at a temperature of 0.001`, async () => {
    const cosines = randomTensor([36], 3).data as Float32Array;
    for (let i = 0; i < 6; i++) cosines[i * 7] = 1; // the pair itself is by far the most similar
    for (const row of await draw(cosines.map((x) => x * 1000), kind, 100)) {
      row.forEach((negative, i) => assert(negative !== i && negative < 6, `row ${i} took ${negative}`));
    }
  });

  Deno.test(`chooseNegatives() "${kind}" takes the same image only where there is no other`, async () => {
    const logits = (randomTensor([25], 4).data as Float32Array).map((x) => x * 1000);
    const ids = [8, 8, 8, 8, 9];
    for (const row of await draw(logits, kind, 100, ids)) {
      assertEquals(row.slice(0, 4), [4, 4, 4, 4]);
      assert(row[4]! < 4);
    }
    for (const row of await draw(logits, kind, 100, [8, 8, 8, 8, 8])) row.forEach((n, i) => assert(n !== i && n < 5));
  });
}

Deno.test("chooseNegatives() takes the largest, or draws by softmax, or draws evenly", async () => {
  const logits = Float32Array.of(9, 0, 1, 2, 3, 9, 0, 0, 0, 0, 9, 0, 1, 1, 2, 9), times = 2000;
  const shares = async (kind: NegativeKind): Promise<number[]> => {
    const counts = [0, 0, 0, 0];
    for (const row of await draw(logits, kind, times)) counts[row[0]!]!++;
    return counts.map((n) => n / times);
  };
  assertEquals(await shares("top1"), [0, 0, 0, 1]);
  const total = 1 + Math.E + Math.E ** 2, five = 5 * Math.sqrt(0.25 / times);
  const close = (seen: number[], wanted: number[]): void =>
    seen.forEach((s, i) => assert(Math.abs(s - wanted[i]!) < five, `${seen} is not ${wanted}`));
  close(await shares("multinomial"), [0, 1 / total, Math.E / total, Math.E ** 2 / total]);
  close(await shares("random"), [0, 1 / 3, 1 / 3, 1 / 3]);
});

Deno.test("chooseNegatives() refuses a batch of 1", () => {
  const key = randomKey(tensor(Uint32Array.of(0, 0)));
  assertThrows(() => chooseNegatives(tensor([0], [1, 1]), "top1", key), RangeError, "it holds 1");
});

Deno.test("pairNegatives() compares a side's queries with the other side's keys, for images and for texts", async () => {
  const count = 5,
    width = 3,
    own = (seed: number): Tensor => tensor(randomTensor([count, width], seed).data, [count, width]);
  const queries = { image: own(1), text: own(2) }, keys = { image: own(3), text: own(4) };
  const ids = [0, 1, 2, 0, 3];
  const words = tensor(Uint32Array.of(0, 0)), imageIds = tensor(Uint32Array.from(ids));
  const choose = compile((features: { queries: typeof queries; keys: typeof keys; temperature: Tensor }, ids: Tensor) =>
    pairNegatives("top1", features, randomKey(words), ids)
  );
  const { images, texts } = await choose({ queries, keys, temperature: tensor(0.07) }, imageIds);
  /** The other image's row of keys that is most similar to each query. */
  const hardest = (queries: Tensor, keys: Tensor): number[] =>
    ids.map((id, i) => {
      const similarity = (j: number): number =>
        [0, 1, 2].reduce((n, k) => n + queries.node.host![i * width + k]! * keys.node.host![j * width + k]!, 0);
      return [0, 1, 2, 3, 4].filter((j) => ids[j] !== id).reduce((a, b) => similarity(b) > similarity(a) ? b : a);
    });
  const [ofTexts, ofImages] = await toHost([images, texts]);
  assertEquals([...ofTexts!], hardest(queries.text, keys.image));
  assertEquals([...ofImages!], hardest(queries.image, keys.text));
  choose.destroy();
});

Deno.test("pairNegatives() returns given ones as they are", () => {
  const given: PairNegatives = { images: tensor(Uint32Array.of(1, 0)), texts: tensor(Uint32Array.of(1, 0)) };
  const some = tensor([1, 2, 3, 4], [2, 2]), features = { image: some, text: some };
  const key = randomKey(tensor(Uint32Array.of(0, 0)));
  assertEquals(pairNegatives(given, { queries: features, keys: features, temperature: tensor(1) }, key), given);
});

Deno.test("negativesAt() is one program that chooses as the plain kinds do at their steps, with the same key", async () => {
  const logits = tensor(randomTensor([36], 8).data as Float32Array, [6, 6]);
  const at = compile((x: Tensor, step: Tensor, words: Tensor) =>
    chooseNegatives(x, negativesAt("random:3,top1:5,multinomial", step), { words, stream: 4 })
  );
  const of = (kind: NegativeKind) =>
    compile((x: Tensor, words: Tensor) => chooseNegatives(x, kind, { words, stream: 4 }));
  const plainly = { random: of("random"), top1: of("top1"), multinomial: of("multinomial") };
  for (
    const [step, kind] of [[0, "random"], [2, "random"], [3, "top1"], [4, "top1"], [5, "multinomial"], [
      99,
      "multinomial",
    ]] as const
  ) {
    for (let k = 0; k < 20; k++) {
      const words = tensor(Uint32Array.of(9, k));
      const plain = await toHost(await plainly[kind](logits, words));
      assertEquals(await toHost(await at(logits, tensor(step), words)), plain, `${kind} at step ${step}`);
    }
  }
  assertEquals(negativesAt("top1", tensor(0)), "top1");
  assertThrows(
    () => negativesAt("random:3", tensor(0)),
    RangeError,
    "the schedule must be one of top1, multinomial, random, or such",
  );
});
