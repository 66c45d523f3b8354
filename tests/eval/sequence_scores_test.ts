import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { imageFile, type Segment, toSequence } from "../../src/data/sequences/sequence.ts";
import { writeScenes } from "../../src/data/scenes/write.ts";
import { SequenceScorer } from "../../src/eval/sequence_scores.ts";
import { visionLanguageSpec } from "../../src/models/vision_language.ts";
import { initialize, type ParametersOf } from "../../src/nn/spec.ts";
import { withFolder } from "../testing/folders.ts";
import { letters } from "../data/sequences/letters.ts";

const image = { imageToken: letters.imageId, encoder: { resolution: 16, patch: 8 } };
const config = {
  decoder: { vocabulary: 128, width: 16, layers: 2, heads: 2, hidden: 32, maxPositions: 32, qkNorm: true },
  image,
};
const sequence = (...segments: Segment[]) => toSequence(segments, { tokenizer: letters, imageTokens: 4 });

Deno.test("SequenceScorer sums log-probabilities that are those of all ways to go on", async () => {
  const params = initialize(visionLanguageSpec(config), 3);
  const scorer = new SequenceScorer({ config, batch: 8, length: 12, images: 0, padId: letters.endId });
  const prefix = { text: "ab", learned: false }, every = Array.from({ length: 128 }, (_, id) => id);
  const next = every.map((id) => ({ tokens: [97, 98, id], learned: [0, 0, 1], images: [] }));
  const scores = await scorer.score(params, next);
  const sum = scores.reduce((total, { logLikelihood }) => total + Math.exp(logLikelihood), 0);
  assertAlmostEquals(sum, 1, 1e-4);
  const [whole] = await scorer.score(params, [sequence({ text: "abcd" })]);
  const parts = await scorer.score(params, [
    sequence({ text: "a", learned: false }, { text: "b" }),
    sequence(prefix, { text: "c" }),
    sequence({ text: "abc", learned: false }, { text: "d" }),
  ]);
  assertEquals([whole!.tokens, ...parts.map(({ tokens }) => tokens)], [3, 1, 1, 1]);
  assertAlmostEquals(whole!.logLikelihood, parts.reduce((total, part) => total + part.logLikelihood, 0), 1e-4);
  const best = scores.map(({ logLikelihood }) => logLikelihood), most = best.indexOf(Math.max(...best));
  const ranked = await scorer.rank(
    params,
    [[5, 6, most, 7], [most, 8, 9, 10]].map((ids) => ids.map((id) => next[id]!)),
  );
  assertEquals(ranked, [2, 0]);
  await assertRejects(
    () => scorer.score(params, [sequence({ text: "a".repeat(13) })]),
    RangeError,
    "at most 8 of at most 12",
  );
  await scorer.close();
});

Deno.test("SequenceScorer sees the images of documents, or blank ones", async () => {
  await withFolder(async (dir) => {
    await writeScenes(dir, { train: 2, val: 0, test: 0, size: 16 });
    const params = initialize(visionLanguageSpec(config), 3) as ParametersOf<ReturnType<typeof visionLanguageSpec>>;
    const pixels = { view: { resolution: 16, transform: "eval" } } as const;
    const scorer = new SequenceScorer({ config, batch: 2, length: 12, images: 2, padId: letters.endId, pixels });
    const [a, b] = [0, 1].map((i) =>
      sequence({ image: imageFile(`${dir}/train/00000000000${i}.png`) }, { text: "abc" })
    );
    const logs = async (...given: Parameters<SequenceScorer["score"]>) =>
      (await scorer.score(...given)).map((s) => s.logLikelihood);
    const [first, second] = await logs(params, [a!, b!]) as [number, number];
    assert(Math.abs(first - second) > 1e-4, "other pictures, other scores");
    assertEquals(await logs(params, [b!, a!, b!]), [second, first, second]);
    const [blank, same] = await logs(params, [a!, b!], true) as [number, number];
    assertAlmostEquals(blank, same, 1e-5);
    assert(Math.abs(blank - first) > 1e-4);
    await scorer.close();
  });
});
