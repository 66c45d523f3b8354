/**
 * How many drawn negatives are true pairs.
 *
 * @module
 */

/** Counts over the pairs that were drawn as negatives. */
export interface FalseNegatives {
  /** Pairs drawn: two for each row. */
  readonly drawn: number;
  /** Those of them that belong together. */
  readonly wrong: number;
  /** Share of the drawn ones that belong together. */
  readonly rate: number;
}

/**
 * The share of a mini-batch's drawn negatives, of images and of texts together, that are true pairs.
 *
 * @param rows What tells the image and the text of each of the B rows, for instance their numbers or the caption.
 * @param negatives Rows: of an image for each text, and of a text for each image, u32 [B] as in `PairNegatives`.
 * @param isTrue Whether a text is true of an image.
 * @throws {RangeError} If the lengths differ, the mini-batch is empty or a negative is no row of it.
 */
export function falseNegativeRate<I, T>(
  rows: { readonly images: ArrayLike<I>; readonly texts: ArrayLike<T> },
  negatives: { readonly images: ArrayLike<number>; readonly texts: ArrayLike<number> },
  isTrue: (image: I, text: T) => boolean,
): FalseNegatives {
  const count = rows.images.length, lengths = [rows.texts, negatives.images, negatives.texts].map((x) => x.length);
  if (count === 0 || lengths.some((length) => length !== count)) {
    throw new RangeError(
      `Cannot count false negatives: texts and negatives must be as many as the images, at least one: there are ${count} images, ${
        lengths.join(", ")
      } others`,
    );
  }
  const row = (n: number): number => {
    if (Number.isInteger(n) && n >= 0 && n < count) return n;
    throw new RangeError(`Cannot count false negatives: each must be a row from 0 to ${count - 1}: one is ${n}`);
  };
  let wrong = 0;
  for (let i = 0; i < count; i++) {
    if (isTrue(rows.images[row(negatives.images[i]!)]!, rows.texts[i]!)) wrong++;
    if (isTrue(rows.images[i]!, rows.texts[row(negatives.texts[i]!)]!)) wrong++;
  }
  return { drawn: 2 * count, wrong, rate: wrong / (2 * count) };
}
