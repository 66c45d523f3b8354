import { assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openDataset } from "../../../src/data/datasets.ts";
import { sceneFiles, writeScenes } from "../../../src/data/scenes/write.ts";
import { type DecoderBatch, sequenceShapes } from "../../../src/data/sequences/decoder_batch.ts";
import { Mixer } from "../../../src/data/sequences/mixer.ts";
import { pairSource } from "../../../src/data/sequences/pairs.ts";
import { imageFile, toSequence } from "../../../src/data/sequences/sequence.ts";
import { SequenceBatcher, SequenceStream } from "../../../src/data/sequences/stream.ts";
import { textSource } from "../../../src/data/sequences/texts.ts";
import { toHost } from "../../../src/program/compile.ts";
import { testInFolder } from "../../testing/folders.ts";
import { letters } from "./letters.ts";

const view = { resolution: 16, transform: "train", cropArea: null, flip: true, randAugment: false } as const;
const sizes = { batch: 3, length: 40, images: 2, padId: letters.endId, pixels: { view }, seed: 7 };

async function host(batch: DecoderBatch): Promise<Record<string, unknown>> {
  return Object.fromEntries(
    await Promise.all(
      Object.entries(batch).map(async ([name, t]) => [name, { shape: t.shape, data: await toHost(t) }]),
    ),
  );
}

/** A stream of captions with pictures, and texts. */
async function open(dir: string): Promise<SequenceStream> {
  await writeScenes(dir, { train: 6, val: 0, test: 0, size: 16, captions: 2 });
  const { captions, images } = sceneFiles(dir, "train");
  const dataset = await openDataset({ data: [captions], images, groupBy: "image" });
  const texts = textSource(["a ring is round", "stars shine", "x".repeat(70)], { tokenizer: letters, seed: 2 });
  const pairs = pairSource(dataset, { tokenizer: letters, imageTokens: 4, seed: 3, maxLength: 40 });
  return new SequenceStream(new Mixer([{ source: pairs, share: 0.4 }, { source: texts, share: 0.6 }]), sizes);
}

testInFolder(
  "a stream that goes on from a checkpoint gives the same bytes, however far it had read ahead",
  async (dir) => {
    const whole = await open(dir), resumed = await open(dir), expected: unknown[] = [];
    for (let i = 0; i < 4; i++) await whole.next();
    const parts = new Map(Object.entries(whole.save()));
    for (let i = 0; i < 6; i++) expected.push(await host((await whole.next()).input));
    resumed.restore(parts);
    for (const batch of expected) assertEquals(await host((await resumed.next()).input), batch);
    const { input, examples, label } = await resumed.next();
    assertEquals([examples, label], [3, "the rows of mini-batch 10"]);
    const shapes = Object.fromEntries(
      Object.entries(input).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
    );
    assertEquals(shapes, sequenceShapes({ ...sizes, side: sizes.pixels.view.resolution }) as never);
    assertThrows(() => resumed.restore(new Map()), RangeError, 'the checkpoint must have the part "sequences"');
    await whole.close();
    await resumed.close();
  },
);

testInFolder(
  "images stand in the order of their placeholders, normalised plane by plane; what is left is zeros",
  async (dir) => {
    await writeScenes(dir, { train: 2, val: 0, test: 0, size: 16 });
    const pixels = { view: { resolution: 16, transform: "eval" }, mean: [0, 0.5, 1], std: [1, 0.5, 2] } as const;
    const batcher = new SequenceBatcher({ batch: 3, length: 8, images: 3, padId: 0, pixels });
    const sequences = [1, 0].map((i) =>
      toSequence([{ image: imageFile(`${dir}/train/00000000000${i}.png`) }, { text: "a" }], {
        tokenizer: letters,
        imageTokens: 2,
      })
    );
    const values = await toHost((await batcher.rowPerSequence(sequences)).images!),
      { default: sharp } = await import("npm:sharp@0.35.5");
    for (const [n, i] of [[0, 1], [1, 0]] as const) {
      const bytes = await sharp(`${dir}/train/00000000000${i}.png`).removeAlpha().raw().toBuffer();
      for (const pixel of [0, 17, 100, 255]) {
        [0, 1, 2].forEach((c) => {
          const expected = (bytes[3 * pixel + c]! / 255 - pixels.mean[c]!) / pixels.std[c]!;
          assertAlmostEquals(values[(3 * n + c) * 256 + pixel]!, expected, 1e-6);
        });
      }
    }
    assertEquals(values.subarray(2 * 768).every((v) => v === 0), true);
    assertEquals(
      (await toHost((await batcher.rowPerSequence(sequences, true)).images!)).every((v) => v === 0),
      true,
      "blank",
    );
    const missing = toSequence([{ image: imageFile("none.png") }], { tokenizer: letters, imageTokens: 2 });
    await assertRejects(() => batcher.rowPerSequence([missing]), Error, 'Cannot load "none.png": it does not exist');
    await batcher.close();
  },
);

Deno.test("images without a word on how they become tensors are refused", () => {
  assertThrows(
    () => new SequenceBatcher({ batch: 1, length: 8, images: 1, padId: 0 }),
    TypeError,
    '"pixels" must say how',
  );
});
