import { assertEquals, assertRejects } from "@std/assert";
import type { CaptionEntry } from "../../src/data/caption_pairs.ts";
import type { CheckProgress } from "../../src/data/check_images.ts";
import { Loader, type LoaderOptions } from "../../src/data/loader.ts";
import { mlmCollate } from "../../src/data/pair_collate.ts";
import { captionDataset, folder, greyImages, tokenizer } from "./loading.ts";

const bytes = await Deno.readFile(greyImages[0]!);
await Deno.writeFile(`${folder}/cut.png`, bytes.subarray(0, bytes.length - 20));
await Deno.writeFile(`${folder}/empty.png`, new Uint8Array());

/** A loader of one example for each image; image 0 is shared by the first and the last. */
function loaderOf(images: readonly string[], options: LoaderOptions = {}) {
  const all = [greyImages[0]!, ...images, greyImages[0]!],
    ids = new Map([...new Set(all)].map((path, id) => [path, id]));
  const entries = all.map((image): CaptionEntry => ({ image, captions: ["red ring"], imageId: ids.get(image)! }));
  const collate = mlmCollate({ view: { resolution: 8, transform: "eval" }, maxLength: 6, tokenizer, probability: 0.5 });
  return new Loader(captionDataset(entries), collate, options);
}

/** What a check said, or why it failed. */
async function checked(how: "files" | "decode", images: readonly string[], options: LoaderOptions = {}) {
  await using loader = loaderOf(images, options);
  const progress: CheckProgress[] = [];
  const bad = await loader.check(how, (p) => progress.push(p));
  return { bad, progress, skipped: loader.skipped };
}

Deno.test("check() looks each image up, and reads it where that is wanted", async () => {
  for (const how of ["files", "decode"] as const) {
    const { bad, progress } = await checked(how, greyImages.slice(1));
    assertEquals([bad, progress], [0, [{ done: 13, total: 13, bad: 0 }]], how);
  }
  await checked("files", [`${folder}/cut.png`]);
  await assertRejects(
    () => checked("decode", [`${folder}/cut.png`]),
    Error,
    `Cannot load entry 1: "${folder}/cut.png" is damaged or not an image`,
  );
});

Deno.test("check() names the first images that cannot be used, and says how many more there are", async () => {
  const none = (n: number): string => `${folder}/none${n}.png`,
    entry = (n: number): string => `entry ${n}: "${none(n)}" does not exist`;
  const message = async (images: readonly string[], how: "files" | "decode" = "files"): Promise<string> =>
    (await assertRejects(() => checked(how, images), Error)).message;
  for (const how of ["files", "decode"] as const) {
    assertEquals(await message([none(1)], how), `Cannot load ${entry(1)}`);
  }
  assertEquals(
    await message([1, 2, 3, 4, 5, 6, 7].map(none)),
    `Cannot load ${[1, 2, 3, 4, 5].map(entry).join("; ")}; 2 more images cannot be used`,
  );
  assertEquals(
    await message([`${folder}/empty.png`, folder]),
    `Cannot load entry 1: "${folder}/empty.png" is empty; entry 2: "${folder}" is a folder`,
  );
});

Deno.test("check() lists what cannot be used where it is skipped, and tells of its progress", async () => {
  const images = [...Array.from({ length: 150 }, (_, i) => `${folder}/gone${i}.png`), greyImages[1]!];
  const { bad, progress, skipped } = await checked("files", images, { onError: "skip" });
  assertEquals([bad, skipped.length], [150, 150]);
  assertEquals(skipped[7], { index: 8, file: `${folder}/gone7.png`, reason: "does not exist" });
  assertEquals(progress, [
    { done: 64, total: 153, bad: 63 },
    { done: 128, total: 153, bad: 127 },
    { done: 153, total: 153, bad: 150 },
  ]);
});
