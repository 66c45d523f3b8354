/** The photos that fit a query best. */
import type { Matcher, PairEncoder } from "../../mod.ts";
import { say } from "../_run.ts";
import { isUnchanged } from "./folder.ts";
import { featureAt, type Photo, type PhotoIndex } from "./photo_index.ts";

/** A result. */
export interface Found {
  /** From 1 on. */
  readonly rank: number;
  readonly photo: Photo;
  /** Of the photo's feature and the query's. */
  readonly cosine: number;
  /** Probability that photo and text belong together, where the matching head was asked. */
  readonly match?: number;
}

/** What is asked for. */
export interface Query {
  readonly text: string | undefined;
  /** Path of a photo. */
  readonly image: string | undefined;
  /** Best photos by cosine that the matching head puts in order; the others follow. */
  readonly rerank: number;
  /** Results. */
  readonly top: number;
}

/** The best photos. Of those that are to be re-ranked the ones whose files are not as they were are left out and listed. */
export async function rankPhotos(
  encoder: PairEncoder<Matcher>,
  index: PhotoIndex,
  { text, image, rerank, top }: Query,
): Promise<Found[]> {
  const { folder, photos } = index, asked = await queryFeature(encoder, text, image);
  const cosines = photos.map((_, i) => dot(featureAt(index, i), asked));
  const order = [...photos.keys()].sort((a, b) => cosines[b]! - cosines[a]! || a - b);
  const kept: number[] = [];
  for (const i of order.slice(0, rerank)) {
    if (await isUnchanged(folder, photos[i]!)) kept.push(i);
    else say(`left out: "${folder}/${photos[i]!.path}" is gone or has changed; "index" brings the index up to date`);
  }
  const scores = await encoder.score(kept.map((i) => ({ image: `${folder}/${photos[i]!.path}`, text: text! })));
  const match = new Map(kept.map((i, n) => [i, scores[n]!.match!]));
  const ranked = kept.toSorted((a, b) => match.get(b)! - match.get(a)!);
  return [...ranked, ...order.slice(rerank)].slice(0, top).map((i, n) => ({
    rank: n + 1,
    photo: photos[i]!,
    cosine: cosines[i]!,
    ...(match.has(i) ? { match: match.get(i)! } : {}),
  }));
}

/** The feature of the text or of the photo; of both their sum, in length 1. */
async function queryFeature(encoder: PairEncoder<Matcher>, text: string | undefined, image: string | undefined) {
  const parts = text === undefined ? [] : await encoder.texts([text]);
  if (image !== undefined) {
    const { features: [feature], failed: [fault] } = await encoder.images([image]);
    if (fault) throw new Error(`Cannot search by "${image}": it ${fault.reason}`);
    parts.push(feature!);
  }
  const sum = parts.reduce((a, b) => a.map((x, i) => x + b[i]!)), length = Math.hypot(...sum);
  return sum.map((x) => x / Math.max(length, 1e-12));
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
