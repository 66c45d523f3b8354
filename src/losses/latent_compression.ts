/**
 * The contrastive part of latent compression learning (Yang et al. 2024, LCL, section 3): what a causal model knows before an image
 * predicts that image among all of the mini-batch.
 *
 * @module
 */
import type { DecoderRows } from "../data/sequences/decoder_batch.ts";
import { add, cast, divide, equal, iota, less, maximum, multiply, subtract, where } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { l2Normalize } from "../ops/norm.ts";
import { sum } from "../ops/reduce.ts";
import { cumsum } from "../ops/scan.ts";
import { reshape } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { softmaxLoss } from "./softmax_loss.ts";

/** Where the placeholders of images are. */
export interface ImagePlaces {
  /** The id that stands once for each token of an image. */
  readonly imageToken: number;
  /** Tokens of an image. */
  readonly patches: number;
  /** Images of the mini-batch, with those that have no place. */
  readonly count: number;
}

/** What stands before N images. */
export type ImageContexts = {
  /** [N, width]: the state of the token before an image; any state where there is none. */
  readonly states: Tensor;
  /** [N]: 1 where the image has a place in a row. */
  readonly placed: Tensor;
  /** [N]: 1 where something of its document stands before it. */
  readonly preceded: Tensor;
};

/** The states of the tokens before the images, of states [B, T, width]. Such a token has seen nothing of its image. */
export function imageContexts(
  states: Tensor,
  { tokens, positions }: Pick<DecoderRows, "tokens" | "positions">,
  { imageToken, patches, count }: ImagePlaces,
): ImageContexts {
  const size = tokens.size, isImage = reshape(equal(tokens, imageToken), [size]);
  const nth = subtract(cumsum(cast(isImage, "f32")), 1);
  const image = cast(cast(divide(add(nth, 0.5), patches), "i32"), "f32"); // rounded down
  const first = multiply(isImage, equal(nth, multiply(image, patches))); // 1 at the first placeholder of each image
  const own = multiply(equal(cast(iota([count, 1], 0), "f32"), reshape(image, [1, size])), reshape(first, [1, size])); // [N, B * T]
  const at = sum(multiply(own, cast(iota([1, size], 1), "f32")), { axes: [1] }), placed = sum(own, { axes: [1] });
  const later = reshape(less(0, positions), [1, size]);
  return {
    states: gather(reshape(states, [size, states.shape.at(-1)!]), cast(maximum(subtract(at, 1), 0), "i32")),
    placed,
    preceded: sum(multiply(own, later), { axes: [1] }),
  };
}

/**
 * Mean of the cross-entropy of softmax(cosine(context, image) / temperature) over the images that have a context, a scalar; 0 if none
 * has. All images that have a place are candidates. One direction, from contexts to images.
 *
 * @param contexts [N, d]: projected states before the images.
 * @param images [N, d]: pooled, projected images.
 */
export function latentCompressionLoss(
  contexts: Tensor,
  images: Tensor,
  { placed, preceded }: Pick<ImageContexts, "placed" | "preceded">,
  temperature: Tensor,
): Tensor {
  const own = cast(iota([images.shape[0]!], 0), "i32");
  const losses = softmaxLoss({
    queries: l2Normalize(contexts),
    keys: l2Normalize(images),
    bias: multiply(subtract(placed, 1), ABSENT),
    scale: divide(1, temperature),
  }, { targets: { labels: where(preceded, own, -1) } });
  return divide(sum(multiply(losses, preceded)), maximum(sum(preceded), 1));
}

/** What an image without a place is below all others: nothing in a softmax. */
const ABSENT = 1e9;
