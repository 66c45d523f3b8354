import { assert, assertEquals, assertRejects } from "@std/assert";
import type { CaptionEntry, CaptionPair } from "../../src/data/caption_pairs.ts";
import { type Collate, imageShape, tokenShapes, type TokenTensors, tokenTensors } from "../../src/data/collate.ts";
import { type Example, ExampleError } from "../../src/data/dataset.ts";
import { Loader } from "../../src/data/loader.ts";
import { type PairBatch, pairCollate } from "../../src/data/pair_collate.ts";
import { Random } from "../../src/random/random.ts";
import type { ImageOptions } from "../../src/data/transform.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import {
  bytes,
  captionDataset,
  folder,
  greyImages,
  inOrder,
  listDataset,
  loadAll,
  plain,
  tokenizer,
  values,
  words,
} from "./loading.ts";

const fixtures = decodeURIComponent(new URL("./fixtures/", import.meta.url).pathname);
const view: ImageOptions = { resolution: 8, transform: "eval" };

/** Texts and nothing else. */
type Text = Example & { readonly text: string };

const texts: Collate<Text, TokenTensors> = {
  views: [],
  shapes: (count) => tokenShapes(count, 4),
  collate: (examples) => tokenTensors(tokenizer, examples.map(({ text }) => text), 4),
};
const textExamples = words.map((text): Text => ({ images: [], text }));

Deno.test("Loader gives a stream of texts, without a Worker", async () => {
  const { Worker } = globalThis;
  globalThis.Worker = class {
    constructor() {
      throw new Error("a Worker was started");
    }
  } as unknown as typeof Worker;
  try {
    const { batches } = await loadAll(listDataset(textExamples), texts, { workers: 2 }, { size: 5, from: 1 });
    assertEquals(batches.map(({ number, indices }) => [number, ...indices]), [[1, 5, 6, 7, 8, 9], [2, 10, 11]]);
    const { ids, mask } = tokenizer.encodeBatch(words.slice(10), 4);
    assertEquals([values(batches[1]!.input.ids), values<Float32Array>(batches[1]!.input.mask)], [ids, mask]);
  } finally {
    globalThis.Worker = Worker;
  }
});

Deno.test("Loader names the data set and the index where an example without a file is of no use, or skips it", async () => {
  const dataset = {
    ...listDataset(textExamples),
    example: (index: number) => {
      if (index === 5) throw new ExampleError("has no words");
      return textExamples[index]!;
    },
  };
  await assertRejects(() => loadAll(dataset, texts), Error, 'Cannot load entry 5 of "test": it has no words');
  const { batches, skipped } = await loadAll(dataset, texts, { onError: "skip" });
  assertEquals(skipped, [{ index: 5, file: "test", reason: "has no words" }]);
  const row = values(batches[1]!.input.ids).slice(4, 8).join();
  const taken = words.findIndex((word) => tokenizer.encodeBatch([word], 4).ids.join() === row);
  assert(taken >= 0 && ![4, 5, 6, 7].includes(taken), "an example that is not in the batch");
});

Deno.test("Loader of texts gives no batches after it is closed", async () => {
  const loader = new Loader(listDataset(textExamples), texts);
  loader.close();
  await assertRejects(() => Array.fromAsync(loader.batches(inOrder(2), { epoch: 0 })), Error, "the loader is closed");
});

/** Two images and an answer, as in NLVR. */
type Twin = Example & { readonly answer: number };
type TwinBatch = { readonly images: Tensor; readonly answers: Tensor };

function twinCollate(view: ImageOptions): Collate<Twin, TwinBatch> {
  return {
    views: [view],
    shapes: (count) => ({ images: imageShape(view, 2 * count), answers: { shape: [count], dtype: "u32" } }),
    collate: (examples, [images]) => {
      return { images: images!, answers: tensor(Uint32Array.from(examples, ({ answer }) => answer)) };
    },
  };
}

/** Images i and i + 1. */
function twins(paths: readonly string[]): Twin[] {
  return paths.map((path, i) => {
    const next = (i + 1) % paths.length;
    return { images: [{ path, id: i }, { path: paths[next]!, id: next }], answer: i };
  });
}

/** The first value of each image of 8 x 8 pixels. */
function greys(images: Tensor): number[] {
  return [...bytes(images)].filter((_, i) => i % 192 === 0);
}

Deno.test("Loader gives two images per example, all first ones and then all second ones", async () => {
  for (const workers of [1, 2, 3]) {
    const { batches } = await loadAll(listDataset(twins(greyImages)), twinCollate(view), { workers });
    const { images, answers } = batches[1]!.input;
    assertEquals(images.shape, [8, 48]);
    assertEquals(greys(images), [40, 50, 60, 70, 50, 60, 70, 80]);
    assertEquals([...values(answers)], [4, 5, 6, 7]);
  }
});

Deno.test("Loader gives the same pairs of images whatever the Workers, the cache and the first batch are", async () => {
  const photos = words.map((_, i) => `${fixtures}${i % 3 ? "laptop" : "motorcycle"}.jpg`);
  const dataset = listDataset(twins(photos)), collate = twinCollate({ resolution: 16, transform: "train" });
  const whole = plain((await loadAll(dataset, collate)).batches);
  for (const options of [{ workers: 2 }, { workers: 3, cacheBytes: 2 ** 24 }]) {
    assertEquals(plain((await loadAll(dataset, collate, options)).batches), whole);
  }
  assertEquals(plain((await loadAll(dataset, collate, {}, { from: 2 })).batches), whole.slice(2));
});

Deno.test("Loader draws the second image's crop for itself: the first image is what it is alone", async () => {
  const photo = { path: `${fixtures}laptop.jpg`, id: 0 }, train: ImageOptions = { resolution: 16, transform: "train" };
  const collate = twinCollate(train), order = inOrder(1, 1);
  const [two, one] = [[photo, photo], [photo]].map((images) => listDataset([{ images, answer: 0 }]));
  const { batches: [pair] } = await loadAll(two!, collate, {}, { order });
  const { batches: [single] } = await loadAll(one!, collate, {}, { order });
  const words = 16 * 16 * 3 / 4,
    [first, second] = [0, words].map((at) => values(pair!.input.images).slice(at, at + words));
  assertEquals(first, values(single!.input.images));
  assert(second!.some((word, i) => word !== first![i]));
});

Deno.test("Loader replaces an example both images and all, and names the image at fault", async () => {
  const examples = twins(greyImages.map((path, i) => i === 6 ? `${folder}/none.png` : path)).slice(0, 12);
  const dataset = listDataset(examples), collate = twinCollate(view);
  await assertRejects(
    () => loadAll(dataset, collate),
    Error,
    `Cannot load entry 5: "${folder}/none.png" does not exist`,
  );
  const runs = [];
  for (const workers of [1, 2]) runs.push(await loadAll(dataset, collate, { onError: "skip", workers }));
  const [{ batches, skipped }] = runs as [typeof runs[0]];
  assertEquals(plain(batches), plain(runs[1]!.batches));
  assertEquals(skipped.map(({ index, file }) => [index, file]), [5, 6].map((i) => [i, `${folder}/none.png`]));
  const { images, answers } = batches[1]!.input, taken = [...values(answers)];
  assertEquals([taken[0], taken[3]], [4, 7]);
  assert(taken.slice(1, 3).every((answer) => ![4, 5, 6, 7].includes(answer)), "examples that are not in the batch");
  assertEquals(greys(images), [...taken.map((i) => 10 * i), ...taken.map((i) => 10 * ((i + 1) % 12))]);
});

Deno.test("Loader refuses examples of a mini-batch with different numbers of images, and views without an image", async () => {
  const examples = twins(greyImages);
  const different = listDataset([examples[0]!, { images: examples[1]!.images.slice(1), answer: 1 }]);
  const none = listDataset([{ images: [], answer: 0 }]);
  await assertRejects(
    () => loadAll(different, twinCollate(view), {}, { order: inOrder(2, 2) }),
    Error,
    'Cannot load entry 1 of "test": it must have as many images as the first entry of its mini-batch, 2: it has 1',
  );
  await assertRejects(
    () => loadAll(none, twinCollate(view), {}, { order: inOrder(1, 1) }),
    Error,
    'Cannot load entry 0 of "test": it must have an image to be viewed: it has none',
  );
});

/** Another view beside what a pair of image and caption has: a collate function made of another. */
function withView(options: ImageOptions, other: ImageOptions): Collate<CaptionPair, PairBatch & { other: Tensor }> {
  const pair = pairCollate({ view: options, maxLength: 6, tokenizer });
  return {
    views: [...pair.views, other],
    shapes: (count) => ({ ...pair.shapes(count), other: imageShape(other, count) }),
    collate: (pairs, images, random) => ({ ...pair.collate(pairs, images, random), other: images[1]! }),
  };
}

const photos = captionDataset(words.map((word, i): CaptionEntry => ({
  image: `${fixtures}${i % 3 ? "laptop" : "motorcycle"}.jpg`,
  captions: [word, `${word} ring`],
  imageId: i % 3,
})));

Deno.test("Loader gives two views of an image, the first of which is what it is alone", async () => {
  const train: ImageOptions = { resolution: 16, transform: "train" };
  const alone = await loadAll(photos, pairCollate({ view: train, maxLength: 6, tokenizer }));
  for (const [other, same] of [[train, true], [{ resolution: 8, transform: "eval" }, false]] as const) {
    const runs = [];
    for (const workers of [1, 2]) runs.push((await loadAll(photos, withView(train, other), { workers })).batches);
    assertEquals(plain(runs[0]!), plain(runs[1]!));
    runs[0]!.forEach(({ input: { other: second, ...first }, ...batch }, i) => {
      assertEquals(plain([{ ...batch, input: first }]), plain([alone.batches[i]!]));
      assertEquals(second.shape, same ? first.images.shape : [4, 48]);
      if (same) assert(values(second).some((word, k) => word !== values(first.images)[k]), "a draw of its own");
    });
  }
});

Deno.test("Loader gives the same images again where it keeps them, and where two views are the same", async () => {
  await using loader = new Loader(photos, withView(view, view), { workers: 2, cacheBytes: 2 ** 20 });
  const epochs = [];
  for (const epoch of [0, 1]) epochs.push(await Array.fromAsync(loader.batches(inOrder(6), { epoch })));
  for (const [i, { input: { images, other } }] of epochs[0]!.entries()) {
    assert(values(images).some((word) => word !== 0));
    assertEquals(values(other), values(images));
    assertEquals(values(epochs[1]![i]!.input.images), values(images));
  }
});

Deno.test("Loader gives a collate function the stream of the example in the row, replaced or not", async () => {
  const first = (index: number): number => new Random(3).fork(7, index, 2).nextUint32();
  const dataset = {
    ...listDataset(textExamples),
    example: (index: number) => {
      if (index === 1) throw new ExampleError("is of no use");
      return textExamples[index]!;
    },
  };
  const draws: Collate<Text, { words: Tensor; places: Tensor }> = {
    views: [],
    shapes: (count) => ({ words: { shape: [count], dtype: "u32" }, places: { shape: [count], dtype: "u32" } }),
    collate: (examples, _, random) => ({
      words: tensor(Uint32Array.from(examples, (_, row) => random(row).nextUint32())),
      places: tensor(Uint32Array.from(examples, ({ text }) => words.indexOf(text))),
    }),
  };
  const { batches } = await loadAll(dataset, draws, { onError: "skip" }, { epoch: 7 });
  for (const { input } of batches) assertEquals([...values(input.words)], [...values(input.places)].map(first));
  assert(values(batches[0]!.input.places)[1]! > 3);
});
