import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type CaptionDataset, captionPair } from "../../src/data/caption_pairs.ts";
import { ExampleError } from "../../src/data/dataset.ts";
import { decodeImage } from "../../src/data/images.ts";
import { retrievalSet } from "../../src/eval/retrieval_set.ts";
import { toHost } from "../../src/program/compile.ts";
import { Random } from "../../src/random/random.ts";
import { LENGTH, World } from "../testing/world.ts";

const sizes = { resolution: 16, maxLength: LENGTH };

Deno.test("retrievalSet() holds every caption with the place of its image", async () => {
  await using world = await World.make(4);
  const { images, texts, imageOf } = retrievalSet(world.dataset, world.tokenizer, sizes);
  assertEquals([images.count, texts.length], [4, LENGTH]);
  assertEquals(imageOf, [0, 0, 1, 1, 2, 2, 3, 3]);
  const captions = [0, 1, 2, 3].flatMap((i) => world.dataset.entry(i).captions);
  assertEquals({ ids: texts.ids, mask: texts.mask }, world.tokenizer.encodeBatch(captions, LENGTH));
});

Deno.test("retrievalSet() loads the images that are asked for, as bytes", async () => {
  await using world = await World.make(4);
  const { images } = retrievalSet(world.dataset, world.tokenizer, sizes);
  const words = await toHost(await images.load([2, 0])) as Uint32Array;
  const expected = [2, 0].map((i) => decodeImage(world.dataset.entry(i).image, 256));
  assertEquals(
    [...new Uint8Array(words.slice().buffer)],
    (await Promise.all(expected)).flatMap(({ data }) => [...data]),
  );
});

Deno.test("retrievalSet() takes the first images and captions, and leaves entries out", async () => {
  await using world = await World.make(4);
  const { images, texts, imageOf } = retrievalSet(world.dataset, world.tokenizer, {
    ...sizes,
    images: 3,
    captions: 1,
    without: new Set([1]),
  });
  assertEquals([images.count, imageOf], [2, [0, 1]]);
  const captions = [0, 2].map((i) => world.dataset.entry(i).captions[0]!);
  assertEquals(texts.ids, world.tokenizer.encodeBatch(captions, LENGTH).ids);
  await Deno.remove(world.dataset.entry(2).image);
  await assertRejects(
    () => images.load([1]),
    Error,
    `Cannot evaluate on image 2, "${world.dataset.entry(2).image}": it`,
  );
});

Deno.test("retrievalSet() refuses a caption that is empty after the clean-up, as training does, or leaves it out", async () => {
  await using world = await World.make(4);
  const dataset: CaptionDataset = {
    ...world.dataset,
    entry: (index) => {
      const entry = world.dataset.entry(index);
      if (index === 1) return { ...entry, captions: ["!!!", ...entry.captions] };
      return index === 2 ? { ...entry, captions: ["(?)"] } : entry;
    },
  };
  const path = dataset.entry(1).image, sentence = `Cannot load entry 1: "${path}" has an empty caption ("!!!")`;
  assertThrows(() => retrievalSet(dataset, world.tokenizer, sizes), Error, sentence);
  assertThrows(() => captionPair(dataset.entry(2), new Random(0)), ExampleError, "has an empty caption");
  const said: string[] = [], onEmptyCaption = (sentence: string) => void said.push(sentence);
  const { entries, imageOf, images } = retrievalSet(dataset, world.tokenizer, { ...sizes, onEmptyCaption });
  assertEquals([said.length, said[0], images.count], [2, sentence, 3]);
  assertEquals([entries, imageOf], [[0, 1, 3], [0, 0, 1, 1, 2, 2]]);
  assertThrows(
    () =>
      retrievalSet({ ...dataset, length: 1, entry: () => dataset.entry(2) }, world.tokenizer, {
        ...sizes,
        onEmptyCaption,
      }),
    Error,
    "none of its captions can be used",
  );
});
