import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import sharp from "npm:sharp@0.35.5";
import type { CaptionEntry } from "../../src/data/caption_pairs.ts";
import { Loader, type LoaderOptions } from "../../src/data/loader.ts";
import { type MlmBatch, mlmCollate, type MlmCollateOptions } from "../../src/data/pair_collate.ts";
import type { ImageOptions } from "../../src/data/transform.ts";
import {
  bytes,
  captionDataset,
  folder,
  greyImages,
  inOrder,
  loadAll,
  plain,
  tokenizer,
  values,
  type Which,
  words,
} from "./loading.ts";

const fixtures = decodeURIComponent(new URL("./fixtures/", import.meta.url).pathname);
await Deno.writeFile(`${folder}/half.jpg`, (await Deno.readFile(`${fixtures}laptop.jpg`)).subarray(0, 5000));

/** Entry i has image i and word i. */
const grey = words.map((word, i): CaptionEntry => ({ image: greyImages[i]!, captions: [word], imageId: i }));
/** Photos and several captions, so that everything random shows. */
const photos = words.map((word, i): CaptionEntry => ({
  image: `${fixtures}${i % 3 ? "laptop" : "motorcycle"}.jpg`,
  captions: [`${word} cube near ring`, `${word} ring left blue`],
  imageId: i % 3,
}));

type Options =
  & LoaderOptions
  & Partial<Pick<ImageOptions, "resolution" | "transform" | "maxPixels">>
  & Pick<MlmCollateOptions, "probability">;

const collateOf = ({ resolution = 8, transform = "eval", maxPixels = 2 ** 26, probability = 0.5 }: Options) =>
  mlmCollate({ view: { resolution, transform, maxPixels }, maxLength: 6, tokenizer, probability });

const load = (entries: readonly CaptionEntry[], options: Options = {}, which: Which = {}) =>
  loadAll(captionDataset(entries), collateOf(options), options, which);

const loaderOf = (entries: readonly CaptionEntry[], options: Options = {}) =>
  new Loader(captionDataset(entries), collateOf(options), { seed: 3, ...options });

const train: Options = { transform: "train", resolution: 16 };

Deno.test("Loader gives batches in order, with every row of its own example", async () => {
  const { batches } = await load(grey, { workers: 2, probability: 0 }, { size: 5 });
  assertEquals(batches.map((batch) => [batch.number, ...batch.indices]), [[0, 0, 1, 2, 3, 4], [1, 5, 6, 7, 8, 9], [
    2,
    10,
    11,
  ]]);
  for (const { indices, input } of batches) {
    const images = bytes(input.images), ids = values(input.ids), mask = values<Float32Array>(input.mask);
    assertEquals([...values(input.imageIds)], [...indices]);
    assertEquals(input.images.shape, [indices.length, 48]);
    indices.forEach((index, row) => {
      assert(images.subarray(row * 192, (row + 1) * 192).every((value) => value === 10 * index));
      const tokens = tokenizer.encode(words[index]!, 6);
      assertEquals([...ids.subarray(row * 6, row * 6 + 6)], [...tokens, 0, 0, 0, 0]);
      assertEquals([...mask.subarray(row * 6, row * 6 + 6)], [1, 1, 0, 0, 0, 0]);
    });
    assertEquals(values(input.mlmIds), ids);
    assert(values<Int32Array>(input.mlmLabels).every((label) => label === -100));
  }
});

Deno.test("Loader gives the same batches whatever the Workers, the prefetching and the cache are", async () => {
  const reference = plain((await load(photos, train)).batches);
  assertEquals(reference.length, 3);
  for (
    const more of [{ workers: 2 }, { workers: 3, prefetch: 1 }, { prefetch: 9, cacheBytes: 2 ** 24 }, {
      workers: 2,
      cacheBytes: 300_000,
    }]
  ) {
    assertEquals(plain((await load(photos, { ...train, ...more })).batches), reference);
  }
});

Deno.test("Loader continues at any batch as if it had begun at the first", async () => {
  const whole = plain((await load(photos, train, { size: 3, epoch: 2 })).batches);
  for (const from of [1, 3, 4]) {
    assertEquals(plain((await load(photos, train, { size: 3, epoch: 2, from })).batches), whole.slice(from));
  }
});

Deno.test("Loader draws anew in every epoch and for every seed, but not for another place in the epoch", async () => {
  const order = (indices: number[]) => (batch: number) => batch === 0 ? Int32Array.from(indices) : undefined;
  const one = async (more: Options, epoch: number, indices: number[]): Promise<MlmBatch> =>
    (await load(photos, { ...train, ...more }, { epoch, order: order(indices) })).batches[0]!.input;
  const reference = await one({}, 0, [1, 2, 4]);
  const differs = (a: MlmBatch, b: MlmBatch, name: keyof MlmBatch): boolean =>
    Array.from(values(a[name])).some((value, i) => value !== values(b[name])[i]);
  for (const other of [await one({}, 1, [1, 2, 4]), await one({ seed: 4 }, 0, [1, 2, 4])]) {
    assert(differs(reference, other, "images") && differs(reference, other, "mlmLabels"));
  }
  const moved = await one({}, 0, [7, 4, 1]), words = 16 * 16 * 3 / 4;
  assertEquals(values(moved.images).slice(words, 2 * words), values(reference.images).slice(2 * words));
  assertEquals(values(moved.images).slice(2 * words), values(reference.images).slice(0, words));
  assertEquals(values(moved.mlmIds).slice(12), values(reference.mlmIds).slice(0, 6));
});

Deno.test("Loader takes one of several captions per epoch, cleaned", async () => {
  await using loader = loaderOf([{ ...grey[0]!, captions: ["A RED ring!", "(blue)", "?? big-cube"] }]);
  const seen = new Set<string>();
  for (let epoch = 0; epoch < 20; epoch++) {
    for await (const { input } of loader.batches(inOrder(1, 1), { epoch })) seen.add(values(input.ids).join());
  }
  const expected = ["a red ring", "blue", "big cube"].map((text) => tokenizer.encodeBatch([text], 6).ids.join());
  assertEquals([...seen].sort(), expected.sort());
});

Deno.test("Loader draws the pixels, captions and masks that it always drew", async () => {
  const pictures = await Promise.all(words.map((_, k) => writePattern(`${folder}/pattern${k}.png`, k)));
  const entries = words.map((word, i): CaptionEntry => ({
    image: i === 5 ? "none.png" : pictures[i - i % 2]!,
    captions: i === 2
      ? ["?!"]
      : [`A ${word}, big-cube!`, `near ${word} ring left`, `(far) ${word}`].slice(0, 1 + i % 3),
    imageId: i >> 1,
  }));
  const { batches } = await load(entries, { ...train, seed: 11, onError: "skip" }, { epoch: 2 });
  // Of three mini-batches one after the other; by the loader that knew of captions and masks itself.
  const expected: Record<keyof MlmBatch, string> = {
    images: "1cfa09f85acd3d801b07d1b528c4fcfe61e5b236fec1a16654ac1a87b67ea1da",
    ids: "e72e6d9f02076ab893f0d05365299ad864e98942341d4210cae4399a27f8e7d1",
    mask: "26872e9929221b8ea7f72051de513487f03727113f69d930c0388a300957d857",
    imageIds: "1fa5d5826f2c9b15744f17362e4114573007e9cb06103d2a2b63c16950b956bc",
    mlmIds: "c0d6fc5b158046cf2bb78402f80f959e3d44e665cf1f5f81c0746c0a9b29b03e",
    mlmLabels: "2dd45a6c594722a1f251544936bbcceafcbc789530c7ba987b78bd113d3551c0",
  };
  for (const [name, hash] of Object.entries(expected) as [keyof MlmBatch, string][]) {
    const all = batches.flatMap(({ input }) => [...new Uint8Array(values(input[name]).buffer)]);
    assertEquals(new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.from(all))).toHex(), hash, name);
  }
});

async function writePattern(path: string, k: number): Promise<string> {
  const width = 40, height = 30;
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * (7 + k) + (i >> 5) * 31 * k) % 256);
  await sharp(data, { raw: { width, height, channels: 3 } }).png().toFile(path);
  return path;
}

const bad: [what: string, entry: Partial<CaptionEntry>, reason: string, options?: Options][] = [
  ["a missing image", { image: `${folder}/none.png` }, `"${folder}/none.png" does not exist`],
  [
    "a truncated image",
    { image: `${folder}/half.jpg` },
    `"${folder}/half.jpg" is damaged or not an image`,
  ],
  ["an oversized image", { image: `${fixtures}laptop.jpg` }, `laptop.jpg" has more than 10000 pixels`, {
    maxPixels: 10_000,
  }],
  ["an empty caption", { captions: ["?!."] }, `5.png" has an empty caption (["?!."])`],
  ["no caption", { captions: [] }, `5.png" has an empty caption ([])`],
];

for (const [what, entry, reason, more] of bad) {
  const entries = grey.map((good, i) => i === 5 ? { ...good, ...entry } : good);

  Deno.test(`Loader stops at ${what}, after the batches before it, with the file and the index`, async () => {
    const loader = loaderOf(entries, more);
    const seen: number[] = [];
    const run = async (): Promise<void> => {
      for await (const batch of loader.batches(inOrder(2), { epoch: 0 })) seen.push(batch.number);
    };
    await assertRejects(run, Error, "Cannot load entry 5: ");
    assertEquals(seen, [0, 1]);
    await assertRejects(() => Array.fromAsync(loader.batches(inOrder(2), { epoch: 0 })), Error, reason);
    await loader.close();
  });

  Deno.test(`Loader skips ${what} on request, lists it and takes another example instead`, async () => {
    const runs = [];
    for (const workers of [1, 2]) runs.push(await load(entries, { ...more, onError: "skip", workers }));
    const [{ batches, skipped }] = runs as [typeof runs[0]];
    assertEquals(plain(batches), plain(runs[1]!.batches));
    assertEquals(skipped.map(({ index, file }) => ({ index, file })), [{ index: 5, file: entries[5]!.image }]);
    assert(reason.endsWith(skipped[0]!.reason) || skipped[0]!.reason.startsWith("is damaged"));
    const { indices, input } = batches[1]!, taken = values(input.imageIds)[1]!;
    assertEquals([...indices], [4, 5, 6, 7], "the order stays");
    assert(![4, 5, 6, 7].includes(taken), "an example that is not in the batch");
    assertEquals(bytes(input.images)[192], 10 * taken);
    assertEquals(values(input.ids)[7], tokenizer.encode(words[taken]!, 6)[1]);
    assertEquals([...values(input.imageIds).filter((_, i) => i !== 1)], [4, 6, 7]);
  });
}

Deno.test("Loader takes a second copy where all other examples are in the batch, and gives up where there are none", async () => {
  const missing = { ...grey[0]!, image: "none.png" };
  const order = inOrder(2, 2), skip = { onError: "skip" } as const;
  const { batches: [batch] } = await load([missing, grey[1]!], skip, { order });
  assertEquals([...values(batch!.input.imageIds)], [1, 1]);
  await assertRejects(
    () => load([missing, missing], skip, { order }),
    Error,
    "and no other example could be loaded instead",
  );
});

Deno.test("Loader reads ahead as far as it is told and no further", async () => {
  const loader = loaderOf(grey, { prefetch: 3 });
  let asked = 0;
  const order = inOrder(1);
  const batches = loader.batches((batch) => (asked++, order(batch)), { epoch: 0 });
  assertEquals(asked, 0);
  for (const expected of [3, 4, 5]) {
    await batches.next();
    assertEquals(asked, expected);
  }
  await batches.return();
  await loader.close();
});

Deno.test("Loader ends cleanly when a consumer stops early, and can give further batches", async () => {
  await using loader = loaderOf(grey, { workers: 2 });
  for await (const batch of loader.batches(inOrder(2), { epoch: 0 })) if (batch.number === 1) break;
  assertEquals((await Array.fromAsync(loader.batches(inOrder(6), { epoch: 1 }))).length, 2);
});

Deno.test("Loader fails the batches that are being read when it is closed", async () => {
  const loader = loaderOf(grey);
  const batches = loader.batches(inOrder(2), { epoch: 0 }), first = batches.next();
  const closing = loader.close();
  await assertRejects(() => first, Error, "the loader is closed");
  await assertRejects(() => Array.fromAsync(loader.batches(inOrder(2), { epoch: 0 })), Error, "the loader is closed");
  await closing;
});

Deno.test("Loader lets its Workers decode what they have begun before it terminates them", async () => {
  const Plain = Worker, events: string[] = [];
  class Watched extends Plain {
    constructor(url: URL, options: WorkerOptions) {
      super(url, options);
      this.addEventListener("message", ({ data }) => events.push("ended" in data ? "ended" : "answer"));
    }
    override terminate(): void {
      events.push("terminate");
      super.terminate();
    }
  }
  Object.assign(globalThis, { Worker: Watched });
  try {
    const loader = loaderOf(photos, { workers: 2 });
    const first = loader.batches(inOrder(12), { epoch: 0 }).next();
    const closing = loader.close();
    await assertRejects(() => first, Error, "the loader is closed");
    assertEquals(events, []);
    await closing;
  } finally {
    Object.assign(globalThis, { Worker: Plain });
  }
  for (const event of ["ended", "terminate"]) assertEquals(events.filter((e) => e === event).length, 2, `${events}`);
  assert(events.indexOf("ended") < events.indexOf("terminate"));
});

Deno.test("Loader passes an error of the order or the data set on", async () => {
  await assertRejects(() => load(grey, {}, { order: inOrder(4, 14) }), RangeError, "there is no entry 12");
  const order = () => {
    throw new Error("no order");
  };
  await assertRejects(() => load(grey, {}, { order }), Error, "no order");
});

Deno.test("Loader refuses options that are no use", () => {
  const refused = (options: Options, message: string): void => {
    assertThrows(() => loaderOf(grey, options), RangeError, message);
  };
  refused({ workers: 0 }, '"workers" must be a whole number of at least 1: it is 0');
  refused({ prefetch: 1.5 }, '"prefetch" must be');
  refused({ resolution: -1 }, '"resolution" must be a whole number');
  refused({ resolution: 5 }, '"resolution" must be even, or they end inside a word: it is 5');
  refused({ cacheBytes: -1 }, '"cacheBytes" must be');
});

Deno.test("Loader works when it is imported by URL, Workers included, with permissions for sharp only", async () => {
  const root = new URL("../../", import.meta.url);
  const program = (origin: string): string =>
    `import { Loader } from "${origin}/src/data/loader.ts";
const images = [{ path: ${JSON.stringify(greyImages[7])}, id: 0 }];
const data = { name: "one", length: 1, skipped: [], example: () => ({ images }) };
const collate = { views: [{ resolution: 4, transform: "eval" }], collate: (_, images) => images };
await using loader = new Loader(data, collate);
for await (const { input: [images] } of loader.batches((n) => n ? undefined : new Int32Array(1), { epoch: 0 })) {
  console.log(new Uint8Array(images.node.host.buffer).join());
}
`;
  const headers = { "content-type": "application/typescript" };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname, origin } = new URL(request.url);
    if (pathname === "/program.js") {
      return new Response(program(origin), { headers: { "content-type": "text/javascript" } });
    }
    if (!/^\/(src|kernels)\/.*\.(ts|wgsl)$/.test(pathname)) return new Response(null, { status: 404 });
    return new Response(await Deno.readFile(new URL("." + pathname, root)), { headers });
  });
  const host = `127.0.0.1:${server.addr.port}`;
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      ...["run", "--no-config", "--no-lock", "--no-prompt", `--allow-import=${host}`, "--allow-read", "--allow-ffi"],
      ...["--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX", `http://${host}/program.js`],
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  await server.shutdown();
  assert(success, new TextDecoder().decode(stderr));
  assertEquals(new TextDecoder().decode(stdout).trim(), new Array(48).fill(70).join());
});
