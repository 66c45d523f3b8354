/** False negatives, counted while training where truth is known: a metric of the step, so nothing is read back for it. */
import {
  add,
  type Aval,
  gather,
  iota,
  mean,
  multiply,
  type PairObjective,
  reshape,
  subtract,
  type Tensor,
  tensor,
} from "../../mod.ts";

/** Whether a caption is true of an image. */
export type Truth = (imageId: number, caption: string) => boolean;

/** What is trained, whatever its parameters, state and mini-batches are. */
// deno-lint-ignore no-explicit-any
export type AnyObjective = PairObjective<any, any, any>;

/**
 * An objective that also reports `falseNegatives`: the share of ITM's drawn pairs, in percent, that are taught as negatives and whose
 * text is true of the image; and, where a judge makes positives of some, `falsePositives`, the share of those that are not. Its
 * mini-batches have `truth`, f32 [B * B, 1]: 1 where the text of the column is true of the image of the row.
 */
export function countingFalseNegatives(objective: AnyObjective, truth: Truth): AnyObjective {
  const { collate, input } = objective, count = (input as { imageIds: Aval }).imageIds.shape[0]!;
  return {
    ...objective,
    input: { ...input, truth: shapeOfTruth(count) },
    collate: {
      ...collate,
      shapes: (count) => ({ ...collate.shapes(count), truth: shapeOfTruth(count) }),
      collate: (pairs, images, random) => {
        const values = pairs.flatMap(({ imageId }) => pairs.map(({ caption }) => truth(imageId, caption) ? 1 : 0));
        return { ...collate.collate(pairs, images, random), truth: tensor(values, [values.length, 1]) };
      },
    },
    loss(p, extra, { truth: judgements, ...batch }, context) {
      const result = objective.loss(p, extra, batch, context);
      if (!result.negatives) return result;
      const { negatives: { images, texts }, found } = result, own = iota([count], 0);
      const isTrue = (image: Tensor, text: Tensor): Tensor =>
        reshape(gather(judgements, add(multiply(image, count), text)), [count]);
      const ofImages = isTrue(own, texts), ofTexts = isTrue(images, own); // 1 where the text is true of the image
      const percent = (a: Tensor, b: Tensor): Tensor => multiply(add(mean(a), mean(b)), 50);
      const both = (a: Tensor, b: Tensor): Tensor => multiply(a, b), not = (a: Tensor): Tensor => subtract(1, a);
      const errors = found
        ? {
          falseNegatives: percent(both(ofImages, not(found.texts)), both(ofTexts, not(found.images))),
          falsePositives: percent(both(not(ofImages), found.texts), both(not(ofTexts), found.images)),
        }
        : { falseNegatives: percent(ofImages, ofTexts) };
      return { ...result, metrics: { ...result.metrics, ...errors } };
    },
  };
}

function shapeOfTruth(count: number): { shape: number[]; dtype: "f32" } {
  return { shape: [count * count, 1], dtype: "f32" };
}
