import { assert, assertEquals, assertRejects } from "@std/assert";
import sharp from "npm:sharp@0.35.5";
import { decodeImage, ImageError, ImageReader } from "../../src/data/images.ts";
import { Random } from "../../src/data/random.ts";
import { type ImageOptions, imagePlan, type RgbImage } from "../../src/data/transform.ts";
import { withFolder } from "../testing/folder.ts";

const laptop = decodeURIComponent(new URL("./fixtures/laptop.jpg", import.meta.url).pathname);
const motorcycle = decodeURIComponent(new URL("./fixtures/motorcycle.jpg", import.meta.url).pathname);

const width = 6, height = 4;
const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => 37 * i % 256);
const picture = () => sharp(pixels, { raw: { width, height, channels: 3 } });

Deno.test("decodeImage() gives the bytes of a picture without loss, row by row", () =>
  withFolder(async (folder) => {
    await picture().png().toFile(`${folder}/a.png`);
    await picture().ensureAlpha(0.3).png().toFile(`${folder}/alpha.png`);
    await picture().toColourspace("rgb16").png().toFile(`${folder}/deep.png`);
    await picture().webp({ lossless: true }).toFile(`${folder}/a.webp`);
    for (const name of ["a.png", "alpha.png", "deep.png", "a.webp"]) {
      assertEquals(await decodeImage(`${folder}/${name}`, 1000), { data: pixels, width, height }, name);
    }
  }));

Deno.test("decodeImage() makes RGB of grey and CMYK pictures, and ignores the orientation tag", () =>
  withFolder(async (folder) => {
    await picture().greyscale().png().toFile(`${folder}/grey.png`);
    const grey = await decodeImage(`${folder}/grey.png`, 1000);
    assertEquals(grey.data.length, pixels.length);
    for (let i = 0; i < grey.data.length; i += 3) {
      assert(grey.data[i] === grey.data[i + 1] && grey.data[i] === grey.data[i + 2]);
    }
    await picture().toColourspace("cmyk").jpeg().toFile(`${folder}/cmyk.jpg`);
    assertEquals((await decodeImage(`${folder}/cmyk.jpg`, 1000)).data.length, pixels.length);
    await picture().withMetadata({ orientation: 6 }).jpeg().toFile(`${folder}/turned.jpg`);
    assertEquals((await decodeImage(`${folder}/turned.jpg`, 1000)).width, width);
  }));

Deno.test("decodeImage() reads photos", async () => {
  for (const [path, w, h] of [[laptop, 300, 224], [motorcycle, 224, 224]] as const) {
    const { data, width, height } = await decodeImage(path, 2 ** 20);
    assertEquals([width, height, data.length], [w, h, w * h * 3]);
    assert(new Set(data).size > 200);
  }
});

Deno.test("decodeImage() tells why a file is no use", () =>
  withFolder(async (folder) => {
    const refused = async (
      name: string,
      bytes: Uint8Array | null,
      reason: string,
      maxPixels = 2 ** 20,
    ): Promise<void> => {
      if (bytes) await Deno.writeFile(`${folder}/${name}`, bytes);
      await assertRejects(() => decodeImage(`${folder}/${name}`, maxPixels), ImageError, reason);
    };
    const photo = await Deno.readFile(laptop), png = new Uint8Array(await picture().png().toBuffer());
    await refused("none.jpg", null, "does not exist");
    await refused(
      "half.jpg",
      photo.subarray(0, photo.length / 2),
      "is damaged or not an image",
    );
    await refused("header.jpg", photo.subarray(0, 100), "is damaged or not an image");
    await refused("half.png", png.subarray(0, 70), "is damaged or not an image");
    await refused("empty.jpg", new Uint8Array(), "is damaged or not an image");
    await refused("text.jpg", new TextEncoder().encode("not a picture"), "is damaged or not an image");
    await refused("big.png", png, "has more than 23 pixels", 23);
    // A file of 100 bytes that claims 50,000 x 50,000 pixels.
    const bomb = png.slice(), header = new DataView(bomb.buffer);
    header.setUint32(16, 50_000);
    header.setUint32(20, 50_000);
    await refused("bomb.png", bomb, "has more than 67108864 pixels", 2 ** 26);
  }));

/** The same picture left to right and its mirror image. */
async function writeSides(path: string): Promise<RgbImage> {
  const data = new Uint8Array(16 * 16 * 3);
  for (let i = 0; i < data.length; i++) data[i] = Math.floor(i / 3) % 16 < 8 ? 20 : 220;
  await sharp(data, { raw: { width: 16, height: 16, channels: 3 } }).png().toFile(path);
  return { data, width: 16, height: 16 };
}

Deno.test("ImageReader flips half of the images, and none where that is switched off", () =>
  withFolder(async (folder) => {
    const path = `${folder}/sides.png`, { data } = await writeSides(path);
    const flips = async (options: Partial<ImageOptions>): Promise<number> => {
      const plan = imagePlan({ resolution: 16, transform: "train", cropArea: null, randAugment: false, ...options });
      const reader = new ImageReader(plan);
      let count = 0;
      for (let seed = 0; seed < 100; seed++) if ((await reader.read(path, new Random(seed)))[0] !== data[0]) count++;
      return count;
    };
    const half = await flips({});
    assert(half > 33 && half < 67, `${half} of 100`);
    assertEquals(await flips({ flip: false }), 0);
    assertEquals(await flips({ transform: "eval" }), 0);
  }));

Deno.test("ImageReader gives the same bytes with and without a cache, and survives the file", () =>
  withFolder(async (folder) => {
    for (const transform of ["train", "eval"] as const) {
      const path = `${folder}/photo.jpg`;
      await Deno.copyFile(motorcycle, path);
      const plan = imagePlan({ resolution: 32, transform });
      const fresh = new ImageReader(plan), cached = new ImageReader(plan, 2 ** 20), small = new ImageReader(plan, 100);
      const read = (reader: ImageReader, seed: number) => reader.read(path, new Random(seed));
      const first = await Promise.all([0, 1, 2].map((seed) => read(fresh, seed)));
      for (const seed of [0, 1, 2]) {
        assertEquals(await read(cached, seed), first[seed]);
        assertEquals(await read(small, seed), first[seed]);
      }
      assertEquals(transform === "eval", first[0]!.every((value, i) => value === first[1]![i]));
      await Deno.remove(path);
      assertEquals(await read(cached, 1), first[1]);
      await assertRejects(() => read(small, 1), ImageError, "does not exist");
    }
  }));
