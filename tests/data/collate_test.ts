import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import sharp from "npm:sharp@0.35.5";
import type { CaptionPair } from "../../src/data/caption_pairs.ts";
import { type Collate, imageShape, maskedTokens, tokenTensors } from "../../src/data/collate.ts";
import { maskTokens } from "../../src/data/masking.ts";
import { mlmCollate, pairCollate, type PairCollateOptions, twoViewCollate } from "../../src/data/pair_collate.ts";
import { Random } from "../../src/random/random.ts";
import type { ImageOptions } from "../../src/data/transform.ts";
import { tensor } from "../../src/program/compile.ts";
import { placeholder, placeholders } from "../../src/program/program.ts";
import { signature, type Tree } from "../../src/program/tree.ts";
import { captionDataset, folder, greyImages, loadAll, tokenizer, values, words } from "./loading.ts";

const view: ImageOptions = { resolution: 8, transform: "train" };
const dataset = captionDataset(words.map((word, i) => ({ image: greyImages[i]!, captions: [word], imageId: i })));
const random = (row: number): Random => new Random(1).fork(row);

function testReady<B extends Tree>(
  name: string,
  of: (options: Pick<PairCollateOptions, "tokenizer">) => Collate<CaptionPair, B>,
): void {
  Deno.test(`${name} knows the shapes of its mini-batches without a tokenizer`, async () => {
    const { batches } = await loadAll(dataset, of({ tokenizer }), {}, { size: 5 });
    for (const { indices, input } of batches) {
      assertEquals(signature(placeholders<B>(of({}).shapes(indices.length))), signature(input));
    }
    assertEquals(batches.map(({ indices }) => indices.length), [5, 5, 2]);
  });

  Deno.test(`${name} tells that it needs a tokenizer for values`, () => {
    const pair: CaptionPair = { images: [{ path: "a.png", id: 0 }], caption: "red", imageId: 0 };
    const images = [placeholder(imageShape(view, 1))];
    assertThrows(() => of({}).collate([pair], images, random), TypeError, '"tokenizer" must be given');
  });
}

testReady("pairCollate()", (options) => pairCollate({ view, maxLength: 6, ...options }));
testReady("mlmCollate()", (options) => mlmCollate({ view, maxLength: 6, ...options }));
testReady("twoViewCollate()", (options) => twoViewCollate({ view, maxLength: 6, ...options }));

Deno.test("twoViewCollate() adds a second view that is drawn apart, and changes nothing else", async () => {
  // Grey squares with a corner of another grey: crops of them differ.
  const path = `${folder}/corner.png`, data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => i < 80 ? 250 : i % 199);
  await sharp(data, { raw: { width: 8, height: 8, channels: 3 } }).png().toFile(path);
  const pairs = captionDataset(words.map((word, i) => ({ image: path, captions: [word], imageId: i })));
  const load = async <B extends Tree>(collate: Collate<CaptionPair, B>): Promise<B> =>
    (await loadAll(pairs, collate, {}, { size: 12 })).batches[0]!.input;
  const options = { maxLength: 6, tokenizer }, one = await load(mlmCollate({ ...options, view }));
  const { secondImages, ...two } = await load(twoViewCollate({ ...options, view }));
  for (const name of ["images", "ids", "mask", "imageIds", "mlmIds", "mlmLabels"] as const) {
    assertEquals(values(two[name]), values(one[name]), name);
  }
  const perImage = secondImages.size / 12, [first, second] = [values(two.images), values(secondImages)];
  for (let row = 0; row < 12; row++) {
    const part = [row * perImage, (row + 1) * perImage] as const;
    assertNotEquals(second.subarray(...part), first.subarray(...part), `image ${row}`);
  }
  const whole = await load(twoViewCollate({ ...options, view: { ...view, transform: "eval" } }));
  assertEquals(values(whole.secondImages), values(whole.images));
});

Deno.test("mlmCollate() masks tokens and keeps their ids as labels", async () => {
  const collate = mlmCollate({ view, maxLength: 6, tokenizer, probability: 1 });
  const { batches: [batch] } = await loadAll(dataset, collate, {}, { size: 12 });
  const [ids, mask, mlmIds, mlmLabels] = (["ids", "mask", "mlmIds", "mlmLabels"] as const).map((name) =>
    values(batch!.input[name])
  ) as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  ids.forEach((id, i) => assertEquals(mlmLabels[i], i % 6 === 0 || mask[i] === 0 ? -100 : id));
  assertEquals(mlmIds.includes(tokenizer.maskId), true);
});

Deno.test("maskedTokens() masks every row with its own stream", () => {
  const tokens = tokenTensors(tokenizer, ["red green blue ring", "left right big", "near far"], 5);
  const { mlmIds, mlmLabels } = maskedTokens(tokens, tokenizer, 0.5, random);
  const { vocabularySize, maskId, padId, clsId } = tokenizer;
  const options = { probability: 0.5, vocabularySize, maskId, padId, clsId };
  for (let row = 0; row < 3; row++) {
    const part = [5 * row, 5 * row + 5] as const;
    const { ids, labels } = maskTokens(
      values(tokens.ids).subarray(...part),
      values(tokens.mask).subarray(...part),
      options,
      random(row),
    );
    assertEquals(values(mlmIds).subarray(...part), ids);
    assertEquals(values<Int32Array>(mlmLabels).subarray(...part), labels);
  }
  assertEquals([`${mlmIds}`, `${mlmLabels}`], ["u32[3,5]", "i32[3,5]"]);
});

Deno.test("maskedTokens() refuses tokens without values on the host", () => {
  const shape = [1, 2], ids = placeholder({ shape, dtype: "u32" }), mask = tensor(new Float32Array(2), shape);
  assertThrows(
    () => maskedTokens({ ids, mask }, tokenizer, 0.5, random),
    TypeError,
    "their values must be on the host: u32[1,2] has none there",
  );
});

Deno.test("Collate functions refuse options that are no use", () => {
  const refused = (run: () => unknown, message: string): void => void assertThrows(run, RangeError, message);
  refused(() => pairCollate({ view, maxLength: 0 }), '"maxLength" must be a whole number of at least 1: it is 0');
  refused(() => mlmCollate({ view, maxLength: 1.5 }), '"maxLength" must be');
  refused(() => mlmCollate({ view, maxLength: 6, probability: 2 }), "the probability must be from 0 to 1: it is 2");
  refused(() => imageShape({ ...view, resolution: 7 }, 2), '"resolution" must be even');
});
