import { assert, assertEquals, assertRejects } from "@std/assert";
import sharp from "npm:sharp@0.35.5";
import { decodeImage, ImageError, ImageReader, imageSize } from "../../src/data/images.ts";
import { Random } from "../../src/random/random.ts";
import { type ImageOptions, imagePlan, type RgbImage } from "../../src/data/transform.ts";

const laptop = decodeURIComponent(new URL("./fixtures/laptop.jpg", import.meta.url).pathname);
const cmyk = decodeURIComponent(new URL("./fixtures/cmyk.jpg", import.meta.url).pathname);
const motorcycle = decodeURIComponent(new URL("./fixtures/motorcycle.jpg", import.meta.url).pathname);

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const width = 6, height = 4;
const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => 37 * i % 256);
const picture = () => sharp(pixels, { raw: { width, height, channels: 3 } });

Deno.test("decodeImage() gives the bytes of a picture without loss, row by row", () =>
  inFolder(async (folder) => {
    await picture().png().toFile(`${folder}/a.png`);
    await picture().ensureAlpha(0.3).png().toFile(`${folder}/alpha.png`);
    await picture().toColourspace("rgb16").png().toFile(`${folder}/deep.png`);
    await picture().webp({ lossless: true }).toFile(`${folder}/a.webp`);
    for (const name of ["a.png", "alpha.png", "deep.png", "a.webp"]) {
      assertEquals(await decodeImage(`${folder}/${name}`, 1000), { data: pixels, width, height }, name);
    }
  }));

Deno.test("decodeImage() makes RGB of grey and CMYK pictures, and ignores the orientation tag", () =>
  inFolder(async (folder) => {
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
  inFolder(async (folder) => {
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

/** A TIFF of one row of pixels of four inks. */
function tiffOfInks(inks: Uint8Array): Uint8Array {
  const short = 3,
    width = inks.length / 4,
    tags: [tag: number, value: number, count?: number][] = [
      ...[[256, width], [257, 1], [258, 0, 4], [259, 1], [262, 5]] as [number, number, number?][], // 262: separated inks
      ...[[273, 0], [277, 4], [278, 1], [279, inks.length]] as [number, number][],
    ];
  const depths = 8 + 2 + 12 * tags.length + 4,
    pixels = depths + 8,
    view = new DataView(new ArrayBuffer(pixels + inks.length));
  [0x49, 0x49, 42, 0, 8].forEach((byte, i) => view.setUint8(i, byte));
  view.setUint16(8, tags.length, true);
  tags.forEach(([tag, value, count = 1], i) => {
    const at = 10 + 12 * i;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, short, true);
    view.setUint32(at + 4, count, true);
    view.setUint16(at + 8, tag === 258 ? depths : tag === 273 ? pixels : value, true);
  });
  for (let i = 0; i < 4; i++) view.setUint16(depths + 2 * i, 8, true);
  new Uint8Array(view.buffer).set(inks, pixels);
  return new Uint8Array(view.buffer);
}

Deno.test("decodeImage() multiplies the inks of CMYK as Pillow does", () =>
  inFolder(async (folder) => {
    // Pillow 12.3: Image.convert("RGB") of these inks.
    const inks = Uint8Array.of(0, 128, 255, 10, 255, 1, 2, 3, 9, 99, 199, 200, 0, 0, 0, 0);
    const expected = [245, 122, 0, 0, 251, 250, 53, 34, 12, 255, 255, 255];
    await Deno.writeFile(`${folder}/a.tif`, tiffOfInks(inks));
    assertEquals((await sharp(`${folder}/a.tif`).metadata()).space, "cmyk");
    assertEquals([...(await decodeImage(`${folder}/a.tif`, 100)).data], expected);
    const { data } = await decodeImage(cmyk, 1000);
    const pillow = [0, 0, 255, 10, 0, 249, 20, 0, 243, 30, 0, 237, 40, 0, 231, 50, 0, 225];
    assertEquals([...data.slice(0, 18)], pillow);
    // A comment of 64 KiB and more in front of the frame.
    const bytes = await Deno.readFile(cmyk), comment = new Uint8Array(2 + 0xffff);
    comment.set([0xff, 0xfe, 0xff, 0xff]);
    await Deno.writeFile(
      `${folder}/long.jpg`,
      new Uint8Array([...bytes.subarray(0, 2), ...comment, ...comment, ...bytes.subarray(2)]),
    );
    assertEquals([...(await decodeImage(`${folder}/long.jpg`, 1000)).data.slice(0, 18)], pillow);
  }));

/** A GIF whose pixels are indices of four colours, not compressed. */
function gif(
  [width, height]: readonly [number, number],
  indices: readonly number[],
  [left, top, w, h]: readonly [number, number, number, number],
  { transparent, own = [] }: { transparent?: number; own?: readonly number[] } = {},
): Uint8Array {
  // Codes of three bits, the lowest first; clear (4) so often that they never grow, and end (5).
  const bits = (code: number) => [...code.toString(2).padStart(3, "0")].reverse().join("");
  const codes = indices.map((index, i) => (i % 2 ? "" : bits(4)) + bits(index)).join("") + bits(4) + bits(5);
  const bytes = Array.from(
    { length: Math.ceil(codes.length / 8) },
    (_, i) => parseInt([...codes.slice(8 * i, 8 * i + 8)].reverse().join(""), 2),
  );
  const global = [10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200];
  return Uint8Array.from([
    ...new TextEncoder().encode("GIF89a"),
    ...[width, 0, height, 0, 0x81, 0, 0, ...global],
    ...(transparent === undefined ? [] : [0x21, 0xf9, 4, 1, 0, 0, transparent, 0]),
    ...[0x2c, left, 0, top, 0, w, 0, h, 0, own.length ? 0x81 : 0, ...own],
    ...[2, bytes.length, ...bytes, 0, 0x3b],
  ]);
}

Deno.test("decodeImage() gives transparent pixels of GIF the colours that Pillow gives them", () =>
  inFolder(async (folder) => {
    const own = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13];
    const whole = [0, 0, 2, 2] as const, part = [1, 0, 2, 1] as const;
    // Pillow 12.3: Image.open(file).convert("RGB")
    const cases: [Uint8Array, number[]][] = [
      [gif([2, 2], [0, 1, 2, 3], whole), [10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200]],
      [gif([2, 2], [0, 1, 2, 3], whole, { transparent: 2 }), [10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200]],
      [gif([2, 2], [0, 1, 2, 3], whole, { transparent: 0 }), [10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200]],
      [gif([2, 2], [0, 1, 2, 3], whole, { transparent: 2, own }), own],
      [gif([3, 2], [1, 2], part), [10, 20, 30, 200, 0, 0, 0, 200, 0, 10, 20, 30, 10, 20, 30, 10, 20, 30]],
      [gif([3, 2], [1, 2], part, { transparent: 3 }), [
        0,
        0,
        200,
        200,
        0,
        0,
        0,
        200,
        0,
        0,
        0,
        200,
        0,
        0,
        200,
        0,
        0,
        200,
      ]],
      [gif([3, 2], [1, 2], part, { transparent: 3, own }), [
        11,
        12,
        13,
        4,
        5,
        6,
        7,
        8,
        9,
        11,
        12,
        13,
        11,
        12,
        13,
        11,
        12,
        13,
      ]],
    ];
    for (const [bytes, expected] of cases) {
      await Deno.writeFile(`${folder}/a.gif`, bytes);
      assertEquals([...(await decodeImage(`${folder}/a.gif`, 100)).data], expected);
    }
    for (const end of [7, 14, 26, 30, 40]) {
      await Deno.writeFile(`${folder}/half.gif`, cases[1]![0].subarray(0, end));
      await assertRejects(() => decodeImage(`${folder}/half.gif`, 100), ImageError, "is damaged or not an image");
    }
  }));

Deno.test("decodeImage() takes an image for what it is, and names what it does not take", () =>
  inFolder(async (folder) => {
    await picture().png().toFile(`${folder}/png.jpg`);
    assertEquals((await decodeImage(`${folder}/png.jpg`, 1000)).data, pixels);
    // An animation has its first frame.
    const frames = new Uint8Array(2 * 4 * 4 * 3).fill(50).fill(200, 4 * 4 * 3);
    const animation = sharp(frames, { raw: { width: 4, height: 8, channels: 3, pageHeight: 4 } });
    for (const path of [`${folder}/a.gif`, `${folder}/a.webp`]) {
      await (path.endsWith("gif") ? animation.clone().gif() : animation.clone().webp({ lossless: true })).toFile(path);
      const { data, width, height } = await decodeImage(path, 1000);
      assertEquals([width, height, new Set(data)], [4, 4, new Set([50])]);
    }
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>';
    const named: [string, string][] = [
      ["BM\x4e\0\0\0\0\0\0\0\x36\0\0\0\x28", "is BMP, which is not supported: JPEG, PNG, WebP, GIF, TIFF, AVIF are"],
      ["P6\n2 1\n255\nabcdef", "is PPM (or another Netpbm format), which is not supported"],
      ["\0\0\0\x0cjP  \r\n\x87\n", "is JPEG 2000, which is not supported"],
      ["\0\0\0\x18ftypheic", "is HEIC, which is not supported"],
      [svg, "is SVG, which is not supported"],
      [`\ufeff<?xml version="1.0"?>\n<!-- made -->${svg}`, "is SVG, which is not supported"],
      ["<!DOCTYPE html><html>404</html>", "is HTML, which is not supported"],
      ["%PDF-1.4", "is PDF, which is not supported"],
      ["", "is damaged or not an image"],
    ];
    for (const [text, reason] of named) {
      await Deno.writeTextFile(`${folder}/x.jpg`, text);
      for (const read of [() => decodeImage(`${folder}/x.jpg`, 1000), () => imageSize(`${folder}/x.jpg`)]) {
        await assertRejects(read, ImageError, reason);
      }
    }
    await assertRejects(() => decodeImage(folder, 1000), ImageError, "is not a file");
    await assertRejects(() => decodeImage("/dev/zero", 1000), ImageError, "is not a file");
    await assertRejects(() => decodeImage("a\0.png", 1000), ImageError, "does not exist");
  }));

/** The same picture left to right and its mirror image. */
async function writeSides(path: string): Promise<RgbImage> {
  const data = new Uint8Array(16 * 16 * 3);
  for (let i = 0; i < data.length; i++) data[i] = Math.floor(i / 3) % 16 < 8 ? 20 : 220;
  await sharp(data, { raw: { width: 16, height: 16, channels: 3 } }).png().toFile(path);
  return { data, width: 16, height: 16 };
}

Deno.test("ImageReader flips half of the images, and none where that is switched off", () =>
  inFolder(async (folder) => {
    const path = `${folder}/sides.png`, { data } = await writeSides(path);
    const flips = async (options: Partial<ImageOptions>): Promise<number> => {
      const plan = imagePlan({ resolution: 16, transform: "train", cropArea: null, randAugment: false, ...options });
      const reader = new ImageReader([plan]);
      let count = 0;
      for (let seed = 0; seed < 100; seed++) {
        const [pixels] = await reader.read(path, () => new Random(seed));
        if (pixels![0] !== data[0]) count++;
      }
      return count;
    };
    const half = await flips({});
    assert(half > 33 && half < 67, `${half} of 100`);
    assertEquals(await flips({ flip: false }), 0);
    assertEquals(await flips({ transform: "eval" }), 0);
  }));

/** What happens to an image, and what is left when the file is gone and the cache has room for it. */
const views: [what: string, options: readonly Partial<ImageOptions>[]][] = [
  ["one view with crops", [{ transform: "train" }]],
  ["one view without", [{ transform: "eval" }]],
  ["two views without crops, of one size", [{ transform: "eval" }, { transform: "train", cropArea: null }]],
  ["two views without crops, of two sizes", [{ transform: "eval" }, { transform: "eval", resolution: 48 }]],
  ["two views, the second one with crops", [{ transform: "eval" }, { transform: "train" }]],
];

for (const [what, options] of views) {
  Deno.test(`ImageReader gives the same bytes with and without a cache, and survives the file: ${what}`, () =>
    inFolder(async (folder) => {
      const path = `${folder}/photo.jpg`;
      await Deno.copyFile(motorcycle, path);
      const plans = options.map((more) => imagePlan({ resolution: 32, transform: "eval", ...more }));
      const fresh = new ImageReader(plans),
        cached = new ImageReader(plans, 2 ** 20),
        small = new ImageReader(plans, 100);
      const read = (reader: ImageReader, seed: number) => reader.read(path, (view) => new Random(seed).fork(view));
      const first = await Promise.all([0, 1, 2].map((seed) => read(fresh, seed)));
      for (const seed of [0, 1, 2]) {
        assertEquals(await read(cached, seed), first[seed]);
        assertEquals(await read(small, seed), first[seed]);
      }
      for (const [v, plan] of plans.entries()) {
        assertEquals(!plan.randAugment, first[0]![v]!.every((value, i) => value === first[1]![v]![i]));
        assertEquals(await new ImageReader([plan]).read(path, () => new Random(0).fork(v)), [first[0]![v]!], "alone");
      }
      await Deno.remove(path);
      assertEquals(await read(cached, 1), first[1]);
      await assertRejects(() => read(small, 1), ImageError, "does not exist");
    }));
}

Deno.test("ImageReader decodes an image once for all its views, each of which is what it is alone", () =>
  inFolder(async (folder) => {
    const path = `${folder}/photo.jpg`;
    const plans = [{ resolution: 32, cropArea: [0.2, 1] }, { resolution: 48, cropArea: null }, { resolution: 32 }]
      .map((options) => imagePlan({ transform: "train", ...options } as ImageOptions));
    const random = (view: number) => new Random(5).fork(view);
    await Deno.copyFile(laptop, path);
    const alone = [];
    for (const [v, plan] of plans.entries()) alone.push((await new ImageReader([plan]).read(path, () => random(v)))[0]);
    const together = await new ImageReader(plans).read(path, (view) => {
      if (view === 0) Deno.removeSync(path); // whoever opens it again finds nothing
      return random(view);
    });
    assertEquals(together, alone as typeof together);
  }));

Deno.test("ImageReader refuses what one of the views refuses", async () => {
  const plans = [2 ** 20, 1000].map((maxPixels) => imagePlan({ resolution: 32, transform: "eval", maxPixels }));
  await assertRejects(
    () => new ImageReader(plans).read(laptop, () => new Random(0)),
    ImageError,
    "more than 1000 pixels",
  );
});

Deno.test("ImageReader keeps an image in its final size where all views need no more", () =>
  inFolder(async (folder) => {
    const survives = async (...options: Partial<ImageOptions>[]): Promise<boolean> => {
      const path = `${folder}/photo.jpg`, plan = { resolution: 32, transform: "eval" } as const;
      await Deno.copyFile(laptop, path);
      const reader = new ImageReader(options.map((more) => imagePlan({ ...plan, ...more })), 32 * 32 * 3);
      await reader.read(path, () => new Random(0));
      await Deno.remove(path);
      return await reader.read(path, () => new Random(0)).then(() => true, () => false);
    };
    assert(await survives({}));
    assert(await survives({}, { transform: "train", cropArea: null }));
    assert(!await survives({}, { transform: "train" }), "crops need the whole image");
    assert(!await survives({}, { resolution: 16 }), "no size is made of another");
  }));
