/**
 * What a data set is to a loader: examples by index, with any number of images and whatever else a mini-batch needs.
 *
 * @module
 */
import type { Random } from "../random/random.ts";

/** An image of an example. */
export interface ImageFile {
  /** Path of the file. */
  readonly path: string;
  /** A whole number, the same for the same image: it decides which Worker, and so which cache, serves it. */
  readonly id: number;
}

/** One example. Kinds of examples add the fields that their mini-batches are made of: captions, questions, labels. */
export interface Example {
  /** 0, 1, 2 or more images; all examples of a data set have the same number. */
  readonly images: readonly ImageFile[];
}

/** Why an example cannot be used: a predicate that follows a file's name in a message, as in "has an empty caption". */
export class ExampleError extends Error {
  /** "ExampleError". */
  override name = "ExampleError";

  /** The message is the predicate; where no file is at fault, messages name the data set. */
  constructor(
    message: string,
    /** The file at fault. */
    readonly file?: string,
  ) {
    super(message);
  }
}

/** Something that was left out, and why. */
export interface Skipped {
  /** Place in the data set, or in the file for entries that could not be read at all. */
  readonly index: number;
  /** The image, or the file of captions; the data set's name where no file is at fault. */
  readonly file: string;
  /** What is wrong with it. */
  readonly reason: string;
}

/** Examples by index. */
export interface Dataset<E extends Example> {
  /** For messages. */
  readonly name: string;
  /** Number of examples. */
  readonly length: number;
  /** Entries of the files that could not be read. */
  readonly skipped: readonly Skipped[];
  /**
   * An example.
   *
   * @param random Decides on what is drawn, for instance on one of several captions.
   * @throws {ExampleError} If the example is of no use, which a loader may skip.
   * @throws {RangeError} If the index is not from 0 to length - 1.
   */
  example(index: number, random: Random): E | Promise<E>;
}
