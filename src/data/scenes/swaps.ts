/**
 * Captions that belong to other pictures, as many of those on the web do.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";

/** The word of the stream that decides which captions are swapped; splits have smaller ones. */
export const SWAPS = 0x5a9;

/**
 * The same pictures, of which a share (rounded to a whole number of them) has the captions of another: those that are drawn hand theirs
 * on in a circle, so that each caption stays in the split. A single picture has no other one, and keeps its own.
 */
export function swapCaptions<P extends { readonly captions: readonly string[] }>(
  pictures: readonly P[],
  share: number,
  random: Random,
): P[] {
  const drawn = random.permutation(pictures.length).subarray(0, Math.round(share * pictures.length));
  const swapped = [...pictures];
  drawn.forEach((picture, i) => {
    swapped[picture] = { ...pictures[picture]!, captions: pictures[drawn[(i + 1) % drawn.length]!]!.captions };
  });
  return swapped;
}
