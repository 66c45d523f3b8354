/**
 * Image-text matching (Li et al. 2021, section 3.2).
 *
 * @module
 */
import { type EncodedPairs, type Matcher, matchLogits, type ModelContext } from "../models/albef.ts";
import { cast } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { concat } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { classLoss } from "./classes.ts";
import type { FoundPositives, PairNegatives } from "./negatives.ts";

/**
 * B pairs, B texts with a negative image, B images with a negative text; mean cross-entropy over 3B. Where `found` is 1 such a pair counts
 * as a match too.
 */
export function itmLoss(
  p: Pick<Matcher, "text_encoder" | "itm_head">,
  { image, text, mask }: EncodedPairs,
  negatives: PairNegatives,
  context: ModelContext,
  found?: FoundPositives,
): Tensor {
  const count = text.states.shape[0]!;
  const texts = concat([text.states, text.states, gather(text.states, negatives.texts)], 0); // [3B, L, D]
  const masks = concat([mask, mask, gather(mask, negatives.texts)], 0);
  const images = concat([image.states, gather(image.states, negatives.images), image.states], 0); // [3B, P + 1, D]
  const logits = matchLogits(p, texts, { mask: masks, image: images }, context); // [3B, 2]
  const { images: ofTexts, texts: ofImages } = found ?? { images: full([count], 0), texts: full([count], 0) };
  const labels = cast(concat([full([count], 1), ofTexts, ofImages], 0), "i32"); // B ones, 2B zeros without `found`
  return classLoss(logits, labels);
}
