import { assertEquals, assertRejects } from "@std/assert";
import { decodeImage } from "../../src/data/images.ts";
import { retrievalSet } from "../../src/eval/retrieval_set.ts";
import { toHost } from "../../src/program/compile.ts";
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
