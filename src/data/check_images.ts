/**
 * Whether the images of a data set can be read, before hours are spent on those that come first.
 *
 * @module
 */
import type { Example, ImageFile } from "./dataset.ts";

/** An image that cannot be used. */
export interface BadImage {
  /** The first example that has it. */
  readonly index: number;
  readonly path: string;
  /** A predicate that follows the file's name: "does not exist". */
  readonly reason: string;
}

/** How far a check of images has come. */
export interface CheckProgress {
  /** Examples whose images have been looked at. */
  readonly done: number;
  /** All examples. */
  readonly total: number;
  /** Image files that cannot be used so far. */
  readonly bad: number;
}

/** What is wrong with each of some images, undefined for those that are right. */
export type ImageTest = (images: readonly ImageFile[]) => Promise<(string | undefined)[]>;

/** Images that are tested at the same time. */
const AT_ONCE = 64;

/**
 * Tests each image of `length` examples once.
 *
 * @param exampleOf An example, or undefined where it is of no use for another reason.
 * @param onProgress Told after every few images.
 */
export async function checkImages(
  length: number,
  exampleOf: (index: number) => Example | undefined | Promise<Example | undefined>,
  test: ImageTest,
  onProgress: (progress: CheckProgress) => void = () => {},
): Promise<BadImage[]> {
  const seen = new Set<number>(), bad: BadImage[] = [];
  let waiting: { index: number; image: ImageFile }[] = [];
  const testWaiting = async (done: number): Promise<void> => {
    const reasons = await test(waiting.map(({ image }) => image));
    for (const [i, { index, image: { path } }] of waiting.entries()) {
      const reason = reasons[i];
      if (reason !== undefined) bad.push({ index, path, reason });
    }
    waiting = [];
    onProgress({ done, total: length, bad: bad.length });
  };
  for (let index = 0; index < length; index++) {
    for (const image of (await exampleOf(index))?.images ?? []) {
      if (seen.has(image.id)) continue;
      seen.add(image.id);
      waiting.push({ index, image });
    }
    if (waiting.length >= AT_ONCE) await testWaiting(index + 1);
  }
  await testWaiting(length);
  return bad;
}

/** Looks files up without reading them. */
export async function lookUpFiles(images: readonly ImageFile[]): Promise<(string | undefined)[]> {
  return await Promise.all(images.map(async ({ path }) => {
    try {
      const { isDirectory, size } = await Deno.stat(path);
      return isDirectory ? "is a folder" : size ? undefined : "is empty";
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      return error instanceof Deno.errors.NotFound ? "does not exist" : `cannot be read (${(error as Error).message})`;
    }
  }));
}
