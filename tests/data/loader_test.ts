import { assert, assertEquals, assertRejects } from "@std/assert";
import sharp from "npm:sharp@0.35.5";
import type { Dataset, Entry } from "../../src/data/datasets.ts";
import { type Batch, Loader, type LoaderOptions } from "../../src/data/loader.ts";
import { buildTokenizer } from "../../src/data/tokenizer.ts";
import { assertRefused } from "../testing/refusals.ts";

const fixtures = decodeURIComponent(new URL("./fixtures/", import.meta.url).pathname);
const folder = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const words = ["red", "green", "blue", "ring", "cube", "left", "right", "big", "small", "near", "far", "round"];
const tokenizer = buildTokenizer([words.join(" ")]);

/** Image i is of the grey value 10 i. */
async function greyImage(i: number): Promise<string> {
  const path = `${folder}/${i}.png`, data = new Uint8Array(8 * 8 * 3).fill(10 * i);
  await sharp(data, { raw: { width: 8, height: 8, channels: 3 } }).png().toFile(path);
  return path;
}

const paths = await Promise.all(words.map((_, i) => greyImage(i)));
await Deno.writeFile(`${folder}/half.jpg`, (await Deno.readFile(`${fixtures}laptop.jpg`)).subarray(0, 5000));

function dataset(entries: readonly Entry[]): Dataset {
  const entry = (index: number): Entry => {
    if (!entries[index]) throw new RangeError(`there is no entry ${index}`);
    return entries[index];
  };
  return { name: "test", length: entries.length, entry, skipped: [] };
}

/** Entry i has image i and word i. */
const plain = words.map((word, i): Entry => ({ image: paths[i]!, captions: [word], imageId: i }));
/** Photos and several captions, so that everything random shows. */
const photos = words.map((word, i): Entry => ({
  image: `${fixtures}${i % 3 ? "laptop" : "motorcycle"}.jpg`,
  captions: [`${word} cube near ring`, `${word} ring left blue`],
  imageId: i % 3,
}));

const options: LoaderOptions = { resolution: 8, maxLength: 6, transform: "eval", seed: 3 };

/** Batches of `size` of the entries in order. */
function inOrder(size: number, length = words.length): (batch: number) => Int32Array | undefined {
  return (batch) => {
    const left = length - batch * size;
    return left > 0 ? Int32Array.from({ length: Math.min(size, left) }, (_, i) => batch * size + i) : undefined;
  };
}

async function load(
  entries: readonly Entry[],
  more: Partial<LoaderOptions> = {},
  { size = 4, epoch = 0, from = 0, order = inOrder(size) }: {
    size?: number;
    epoch?: number;
    from?: number;
    order?: (batch: number) => Int32Array | undefined;
  } = {},
): Promise<Batch[] & { skipped: Loader["skipped"] }> {
  const loader = new Loader(dataset(entries), tokenizer, { ...options, ...more });
  try {
    const batches = await Array.fromAsync(loader.batches(order, { epoch, from }));
    return Object.assign(batches, { skipped: loader.skipped });
  } finally {
    await loader.close();
  }
}

const train: Partial<LoaderOptions> = { transform: "train", resolution: 16 };

Deno.test("Loader gives batches in order, with every row of its own example", async () => {
  const batches = await load(plain, { workers: 2, maskProbability: 0 }, { size: 5 });
  assertEquals(batches.map((batch) => [batch.number, ...batch.indices]), [[0, 0, 1, 2, 3, 4], [1, 5, 6, 7, 8, 9], [
    2,
    10,
    11,
  ]]);
  for (const { indices, images, ids, mask, mlmIds, mlmLabels, imageIds } of batches) {
    assertEquals([...imageIds], [...indices]);
    assertEquals(images.length, indices.length * 192);
    indices.forEach((index, row) => {
      assert(images.subarray(row * 192, (row + 1) * 192).every((value) => value === 10 * index));
      const tokens = tokenizer.encode(words[index]!, 6);
      assertEquals([...ids.subarray(row * 6, row * 6 + 6)], [...tokens, 0, 0, 0, 0]);
      assertEquals([...mask.subarray(row * 6, row * 6 + 6)], [1, 1, 0, 0, 0, 0]);
    });
    assertEquals(mlmIds, ids);
    assert(mlmLabels.every((label) => label === -100));
  }
});

Deno.test("Loader gives the same batches whatever the Workers, the prefetching and the cache are", async () => {
  const reference = await load(photos, train);
  assertEquals(reference.length, 3);
  for (
    const more of [{ workers: 2 }, { workers: 3, prefetch: 1 }, { prefetch: 9, cacheBytes: 2 ** 24 }, {
      workers: 2,
      cacheBytes: 300_000,
    }]
  ) {
    assertEquals([...await load(photos, { ...train, ...more })], [...reference]);
  }
});

Deno.test("Loader continues at any batch as if it had begun at the first", async () => {
  const whole = await load(photos, train, { size: 3, epoch: 2 });
  for (const from of [1, 3, 4]) {
    assertEquals([...await load(photos, train, { size: 3, epoch: 2, from })], whole.slice(from));
  }
});

Deno.test("Loader draws anew in every epoch and for every seed, but not for another place in the epoch", async () => {
  const order = (indices: number[]) => (batch: number) => batch === 0 ? Int32Array.from(indices) : undefined;
  const one = async (more: Partial<LoaderOptions>, epoch: number, indices: number[]): Promise<Batch> =>
    (await load(photos, { ...train, ...more }, { epoch, order: order(indices) }))[0]!;
  const reference = await one({}, 0, [1, 2, 4]);
  const differs = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).some((value, i) => value !== b[i]);
  for (const other of [await one({}, 1, [1, 2, 4]), await one({ seed: 4 }, 0, [1, 2, 4])]) {
    assert(differs(reference.images, other.images) && differs(reference.mlmLabels, other.mlmLabels));
  }
  const moved = await one({}, 0, [7, 4, 1]), size = 16 * 16 * 3;
  assertEquals(moved.images.slice(size, 2 * size), reference.images.slice(2 * size));
  assertEquals(moved.images.slice(2 * size), reference.images.slice(0, size));
  assertEquals(moved.mlmIds.slice(12), reference.mlmIds.slice(0, 6));
});

Deno.test("Loader takes one of several captions per epoch, cleaned", async () => {
  const entries = [{ ...plain[0]!, captions: ["A RED ring!", "(blue)", "?? big-cube"] }];
  await using loader = new Loader(dataset(entries), tokenizer, options);
  const seen = new Set<string>();
  for (let epoch = 0; epoch < 20; epoch++) {
    for await (const batch of loader.batches(inOrder(1, 1), { epoch })) seen.add(batch.ids.join());
  }
  const expected = ["a red ring", "blue", "big cube"].map((text) => tokenizer.encodeBatch([text], 6).ids.join());
  assertEquals([...seen].sort(), expected.sort());
});

Deno.test("Loader masks tokens and keeps their ids as labels", async () => {
  const [batch] = await load(photos, { maskProbability: 1 }, { size: 12 });
  const { ids, mlmIds, mlmLabels, mask } = batch!;
  ids.forEach((id, i) => assertEquals(mlmLabels[i], i % 6 === 0 || mask[i] === 0 ? -100 : id));
  assert(mlmIds.filter((id) => id === tokenizer.maskId).length > 25);
});

Deno.test("Loader fills the images up to a multiple of four bytes", async () => {
  for (const workers of [1, 2]) {
    const [batch] = await load(plain, { resolution: 5, workers }, { size: 3 });
    assertEquals(batch!.images.length, 228);
    assertEquals([...batch!.images.subarray(150)], [...new Array<number>(75).fill(20), 0, 0, 0]);
  }
});

const bad: [what: string, entry: Partial<Entry>, reason: string, options?: Partial<LoaderOptions>][] = [
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
  const entries = plain.map((good, i) => i === 5 ? { ...good, ...entry } : good);

  Deno.test(`Loader stops at ${what}, after the batches before it, with the file and the index`, async () => {
    const loader = new Loader(dataset(entries), tokenizer, { ...options, ...more });
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
    const [batches] = runs as [typeof runs[0]];
    assertEquals([...batches], [...runs[1]!]);
    assertEquals(batches.skipped.map(({ index, file }) => ({ index, file })), [{ index: 5, file: entries[5]!.image }]);
    assert(reason.endsWith(batches.skipped[0]!.reason) || batches.skipped[0]!.reason.startsWith("is damaged"));
    assertEquals([...batches[1]!.indices], [4, 5, 6, 7], "the order stays");
    const taken = batches[1]!.imageIds[1]!;
    assert(![4, 5, 6, 7].includes(taken), "an example that is not in the batch");
    assertEquals(batches[1]!.images[192], 10 * taken);
    assertEquals(batches[1]!.ids[7], tokenizer.encode(words[taken]!, 6)[1]);
    assertEquals([...batches[1]!.imageIds.filter((_, i) => i !== 1)], [4, 6, 7]);
  });
}

Deno.test("Loader takes a second copy where all other examples are in the batch, and gives up where there are none", async () => {
  const missing = { ...plain[0]!, image: "none.png" };
  const order = inOrder(2, 2), skip = { onError: "skip" } as const;
  const [batch] = await load([missing, plain[1]!], skip, { order });
  assertEquals([...batch!.imageIds], [1, 1]);
  await assertRejects(
    () => load([missing, missing], skip, { order }),
    Error,
    "and no other example could be loaded instead",
  );
});

Deno.test("Loader reads ahead as far as it is told and no further", async () => {
  const loader = new Loader(dataset(plain), tokenizer, { ...options, prefetch: 3 });
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
  await using loader = new Loader(dataset(plain), tokenizer, { ...options, workers: 2 });
  for await (const batch of loader.batches(inOrder(2), { epoch: 0 })) if (batch.number === 1) break;
  assertEquals((await Array.fromAsync(loader.batches(inOrder(6), { epoch: 1 }))).length, 2);
});

Deno.test("Loader fails the batches that are being read when it is closed", async () => {
  const loader = new Loader(dataset(plain), tokenizer, options);
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
    const loader = new Loader(dataset(photos), tokenizer, { ...options, workers: 2 });
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
  await assertRejects(() => load(plain, {}, { order: inOrder(4, 14) }), RangeError, "there is no entry 12");
  const order = () => {
    throw new Error("no order");
  };
  await assertRejects(() => load(plain, {}, { order }), Error, "no order");
});

Deno.test("Loader refuses options that are no use", async () => {
  const make = (more: Partial<LoaderOptions>) => () => new Loader(dataset(plain), tokenizer, { ...options, ...more });
  await assertRefused(
    [make({ workers: 0 }), '"workers" must be a whole number of at least 1: it is 0'],
    [make({ prefetch: 1.5 }), '"prefetch" must be'],
    [make({ maxLength: 0 }), '"maxLength" must be'],
    [make({ maskProbability: 2 }), '"maskProbability" must be from 0 to 1: it is 2'],
    [make({ resolution: -1 }), '"resolution" must be'],
    [make({ cacheBytes: -1 }), '"cacheBytes" must be'],
  );
});

Deno.test("Loader works when it is imported by URL, Workers included, with permissions for sharp only", async () => {
  const root = new URL("../../", import.meta.url);
  const program = (origin: string): string =>
    `import { Loader } from "${origin}/src/data/loader.ts";
import { buildTokenizer } from "${origin}/src/data/tokenizer.ts";
const entry = { image: ${JSON.stringify(paths[7])}, captions: ["red"], imageId: 0 };
const data = { name: "one", length: 1, entry: () => entry, skipped: [] };
await using loader = new Loader(data, buildTokenizer(["red"]), { resolution: 4, maxLength: 3, transform: "eval" });
for await (const batch of loader.batches((n) => n ? undefined : new Int32Array(1), { epoch: 0 })) console.log(batch.images.join());
`;
  const headers = { "content-type": "application/typescript" };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname, origin } = new URL(request.url);
    if (pathname === "/program.ts") return new Response(program(origin), { headers });
    if (!/^\/src\/.*\.ts$/.test(pathname)) return new Response(null, { status: 404 });
    return new Response(await Deno.readFile(new URL("." + pathname, root)), { headers });
  });
  const host = `127.0.0.1:${server.addr.port}`;
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      ...["run", "--no-config", "--no-lock", "--no-prompt", `--allow-import=${host}`, "--allow-read", "--allow-ffi"],
      ...["--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX", `http://${host}/program.ts`],
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  await server.shutdown();
  assert(success, new TextDecoder().decode(stderr));
  assertEquals(new TextDecoder().decode(stdout).trim(), new Array(48).fill(70).join());
});
