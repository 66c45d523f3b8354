/**
 * Terms of losses.
 *
 * @module
 */
export {
  itcLoss,
  itcMomentumLoss,
  type ItcOptions,
  momentumDirection,
  type MomentumItcOptions,
  type MomentumQueries,
} from "./itc.ts";
export { classLoss } from "./classes.ts";
export { divergence, symmetricKl } from "./divergence.ts";
export { itmLoss } from "./itm.ts";
export { imageLocals, localLoss, type Locals, textLocals } from "./local.ts";
export { regionClassLoss, regionFeatureLoss } from "./regions.ts";
export { matchWeights, weightedTokenLoss } from "./weak_pairs.ts";
export { maskedPixelLoss } from "./masked_pixels.ts";
export { maskedLogits, type MaskedTexts, mlmLoss, type SoftTargets } from "./mlm.ts";
export {
  chooseNegatives,
  type FoundPositives,
  NEGATIVE_KINDS,
  type NegativeKind,
  type NegativeMix,
  negativesAt,
  type PairNegatives,
  pairNegatives,
} from "./negatives.ts";
export {
  type Alignable,
  type Alignment,
  alignmentLoss,
  innerPatches,
  innerWords,
  type TransportOptions,
  transportPlan,
  wordPatchAlignment,
} from "./optimal_transport.ts";
export { type NextTokenLoss, nextTokenLoss, type NextTokenLosses, nextTokenLosses } from "./next_token.ts";
export { type ImageContexts, imageContexts, type ImagePlaces, latentCompressionLoss } from "./latent_compression.ts";
export {
  distilled,
  type Logits,
  softmaxLoss,
  softmaxLossAndNorm,
  type SoftmaxLossOptions,
  type Targets,
} from "./softmax_loss.ts";
export { type Total, total } from "./total.ts";
