/**
 * Regions of images as a detector has found them: where they are, what they look like, and perhaps what they are.
 *
 * @module
 */
import { ExampleError } from "../dataset.ts";

/** The regions of one image. */
export interface Regions {
  /** How many there are, at least one. */
  readonly count: number;
  /** Left, top, right, bottom of each as shares of the image's width and height, [count * 4]. */
  readonly boxes: Float32Array;
  /** [count * width]. */
  readonly features: Float32Array;
  /** How sure the detector is of each, [count]. */
  readonly confidences?: Float32Array;
  /** The most likely class of each, [count]. */
  readonly classes?: Uint32Array;
  /** The probability of every class, [count * classes]. */
  readonly shares?: Float32Array;
}

/** Where regions come from. */
export interface RegionSource {
  /** For messages. */
  readonly name: string;
  /** Numbers of a region's feature. */
  readonly width: number;
  /** Classes of the detector; 0 if it has not told any. */
  readonly classes: number;
  /**
   * The regions of an image, read now; nothing is kept.
   *
   * @throws {ExampleError} If there are none, or what there is does not fit.
   */
  regions(image: string): Promise<Regions>;
  /** Gives the file back to the system. */
  close(): void;
}

/** The most regions that an image may have in a file: the detector's own limit is 100. */
export const MOST_REGIONS = 1000;

/** The name of an image without its folder and ending. */
export function stemOf(path: string): string {
  return path.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "");
}

/** The most likely class of each region. @throws {RangeError} If the detector has not told any. */
export function classesOf({ classes: ids, shares, count }: Regions, classes: number): Uint32Array {
  if (ids) return ids;
  if (!shares) throw new RangeError("Cannot tell what regions are: they must have classes: they have none");
  return Uint32Array.from({ length: count }, (_, i) => {
    const row = shares.subarray(i * classes, (i + 1) * classes);
    return row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));
  });
}

/**
 * Checks values that a file gives. Boxes and features must be finite numbers, boxes must have their corners in order.
 *
 * @throws {ExampleError} With what is wrong.
 */
export function checkRegions(regions: Regions, { width, classes }: Pick<RegionSource, "width" | "classes">): Regions {
  const { count, boxes, features, confidences, classes: ids, shares } = regions;
  const lengths = [
    ["boxes", boxes, 4],
    ["features", features, width],
    ["confidences", confidences, 1],
    ["classes", ids, 1],
    ["class probabilities", shares, classes],
  ] as const;
  if (!(count >= 1 && count <= MOST_REGIONS)) bad(`has ${count} regions; 1 to ${MOST_REGIONS} are expected`);
  for (const [name, values, each] of lengths) {
    if (!values) continue;
    if (values.length !== count * each) {
      bad(`has ${values.length} numbers as ${name}; ${each} for each of its ${count} regions are expected`);
    }
    if (!values.every(Number.isFinite)) bad(`has numbers that are not finite as ${name}`);
  }
  for (let at = 0; at < boxes.length; at += 4) {
    if (boxes[at]! > boxes[at + 2]! || boxes[at + 1]! > boxes[at + 3]!) {
      bad(`has the box ${boxes.slice(at, at + 4).join(", ")}; left, top, right, bottom are expected`);
    }
  }
  if (ids?.some((id) => id >= classes)) bad(`has a class of ${Math.max(...ids)}; 0 to ${classes - 1} are expected`);
  return regions;
}

function bad(what: string): never {
  throw new ExampleError(what);
}
