/**
 * Retrieval among near-duplicates: each image and each text has the others of its own group as candidates.
 *
 * @module
 */
import type { PairModel } from "../models/albef.ts";
import { compile, item, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { textRows } from "./_batches.ts";
import { jointScores, rank } from "./recall.ts";
import type { RetrievalSet } from "./retrieval.ts";

/** Shares of the queries, in percent, whose own candidate scores best of its group. */
export interface GroupRecall {
  /** Of images, among the texts. */
  readonly i2t: number;
  /** Of texts, among the images. */
  readonly t2i: number;
}

/** What {@linkcode evaluateGroups} finds. */
export interface GroupResult {
  /** By the cosine of the features. */
  readonly cosine: GroupRecall;
  /** By the matching head, where the model has one. */
  readonly reranked?: GroupRecall;
  /** By the cosine / temperature + the head's log-odds, where the model has both. */
  readonly joint?: GroupRecall;
  /** Share of the images, in percent, for which the matching head prefers the own text to one other of the group; chance is 50. */
  readonly matching?: number;
}

/** How groups are evaluated. */
export interface GroupOptions {
  /** Scenes of a group: items 0 to size - 1 are the first group, and so on. */
  readonly size: number;
  /** Images that are taken at a time, a multiple of the size. @default 4 groups */
  readonly batch?: number;
}

/**
 * R@1 within groups, by cosine and by the matching head. A tie counts as half a rank, as in {@linkcode rank}.
 *
 * @throws {RangeError} If the set is not one text for each image in whole groups.
 */
export async function evaluateGroups<P>(
  params: P,
  model: PairModel<P>,
  set: RetrievalSet,
  { size, batch = 4 * size }: GroupOptions,
): Promise<GroupResult> {
  const count = set.images.count;
  checkGroups(set, size, batch);
  await toDevice(params as Tree);
  const encode = compile((p, images: Tensor, ids: Tensor, mask: Tensor) => {
    const image = model.image(p as P, images), text = model.text(p as P, { ids, mask });
    return { image: image.features, text: text.features, states: image.states };
  });
  const match = model.match &&
    compile((p, states: Tensor, ids: Tensor, mask: Tensor) =>
      model.match!(p as P, model.text(p as P, { ids, mask }).states, mask, states)
    );
  const scores = (): Float32Array => new Float32Array(count * size); // [image, place of the text]
  const cosine = scores(), matched = scores(), odds = scores();
  for (let from = 0; from < count; from += batch) {
    const at = (shift: number): number[] =>
      Array.from({ length: batch }, (_, i) => inGroup(from + i, shift, size, count));
    const images = await set.images.load(at(0)),
      own = await encode(params as Tree, images, ...textRows(set.texts, at(0)));
    const [image, text] = await toHost([own.image, own.text]) as [Float32Array, Float32Array];
    const width = image.length / batch;
    const logits = match && await toHost(
      await Promise.all(
        Array.from(
          { length: size },
          (_, shift) => match(params as Tree, own.states, ...textRows(set.texts, at(shift))),
        ),
      ),
    );
    for (let i = 0; i < Math.min(batch, count - from); i++) {
      for (let shift = 0; shift < size; shift++) {
        const other = inGroup(from + i, shift, size, count), place = (from + i) * size + other % size;
        cosine[place] = dot(image, text, i * width, (other - from) * width, width);
        if (!logits) continue;
        matched[place] = logits[shift]![2 * i + 1]!;
        odds[place] = matched[place]! - logits[shift]![2 * i]!;
      }
    }
  }
  encode.destroy();
  match?.destroy();
  const temperature = match && await temperatureOf(params, model);
  return {
    cosine: recalls(cosine, size),
    ...(match && { reranked: recalls(matched, size), matching: preferred(matched, size) }),
    ...(temperature && { joint: recalls(jointScores(cosine, odds, temperature), size) }),
  };
}

async function temperatureOf<P>(params: P, model: PairModel<P>): Promise<number | undefined> {
  if (!model.temperature) return undefined;
  const read = compile((p) => model.temperature!(p as P)), temperature = await item(await read(params as Tree));
  read.destroy();
  return temperature;
}

/** The item that is `shift` places further in the group of item i; items beyond the last are the last group's again. */
function inGroup(i: number, shift: number, size: number, count: number): number {
  const item = i < count ? i : count - size + i % size, base = item - item % size;
  return base + (item - base + shift) % size;
}

function recalls(scores: Float32Array, size: number): GroupRecall {
  const count = scores.length / size;
  const share = (score: (item: number, other: number) => number): number => {
    let best = 0;
    for (let item = 0; item < count; item++) {
      const base = item - item % size, own = Array.from({ length: size }, (_, n) => score(item, base + n));
      if (rank(own, (n) => base + n === item) < 1) best++;
    }
    return 100 * best / count;
  };
  return {
    i2t: share((image, text) => scores[image * size + text % size]!),
    t2i: share((text, image) => scores[image * size + text % size]!),
  };
}

/** The other text is the next of the group. */
function preferred(scores: Float32Array, size: number): number {
  const count = scores.length / size;
  let right = 0;
  for (let i = 0; i < count; i++) {
    const own = scores[i * size + i % size]!, other = scores[i * size + (i + 1) % size]!;
    right += own > other ? 1 : own === other ? 0.5 : 0;
  }
  return 100 * right / count;
}

function dot(a: Float32Array, b: Float32Array, i: number, j: number, width: number): number {
  let sum = 0;
  for (let k = 0; k < width; k++) sum += a[i + k]! * b[j + k]!;
  return sum;
}

function checkGroups({ images: { count }, imageOf }: RetrievalSet, size: number, batch: number): void {
  if (!(size >= 2 && Number.isInteger(size)) || count % size !== 0 || batch % size !== 0) {
    throw new RangeError(
      `Cannot evaluate groups: images and the batch must be whole groups of at least 2: there are ${count} images, ` +
        `${batch} at a time, in groups of ${size}`,
    );
  }
  if (imageOf.length !== count || Array.from(imageOf).some((image, text) => image !== text)) {
    throw new RangeError("Cannot evaluate groups: each image must have one text, in the order of the images");
  }
}
