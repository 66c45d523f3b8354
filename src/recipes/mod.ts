/**
 * Recipes: what a paper trains, and how, one file each. `pairRecipes` are those on images and captions, by the name that
 * `--recipe` takes; the others have examples of their own kind.
 *
 * @module
 */
import { albef } from "./albef.ts";
import { albefQueue } from "./albef_queue.ts";
import { grit } from "./grit.ts";
import { imagebert } from "./imagebert.ts";
import { mafa } from "./mafa.ts";
import { mug } from "./mug.ts";
import { regions } from "./regions.ts";
import { retrieval } from "./retrieval.ts";
import { siglip } from "./siglip.ts";
import { tcl } from "./tcl.ts";
import { uvlp } from "./uvlp.ts";
import { vilt } from "./vilt.ts";

export { adversarial, type AdversarialOptions } from "./adversarial.ts";
export {
  albef,
  type AlbefExtra,
  albefFields,
  albefLoss,
  type AlbefOptions,
  type MomentumSide,
  rampedAlpha,
} from "./albef.ts";
export { albefQueue, type AlbefQueueExtra, albefQueueFields, type AlbefQueueSpec } from "./albef_queue.ts";
export { efficientTrain, type Phase, phaseAt, phased, PhasedLoaders, phaseSetup } from "./curriculum.ts";
export {
  entailment,
  type EntailmentExtra,
  entailmentFields,
  type EntailmentLoss,
  entailmentLoss,
  type EntailmentMomentum,
} from "./entailment.ts";
export { grit, gritFields, type GritLoss, gritLoss, type GritOptions, type MaskedPairs } from "./grit.ts";
export {
  collecting,
  type Grouped,
  grouped,
  type GroupedOptions,
  GroupedStream,
  type Numbered,
  queueRows,
  type QueueSizes,
} from "./grouped.ts";
export { imagebert, imagebertFields, type ImagebertLoss, imagebertLoss, type ImagebertOptions } from "./imagebert.ts";
export { lcl, lclFields, type LclSpec } from "./lcl.ts";
export { lm, lmFields, type LmSetup } from "./lm.ts";
export {
  type Judge,
  judgePairs,
  mafa,
  type MafaExtra,
  mafaFields,
  type MafaLoss,
  mafaLoss,
  type MafaOptions,
} from "./mafa.ts";
export {
  captionConfig,
  captionLogits,
  type Mug,
  mug,
  mugFields,
  type MugLoss,
  mugLoss,
  type MugOptions,
  type MugSpec,
} from "./mug.ts";
export { nlvr2, nlvrFields, textAssignment } from "./nlvr.ts";
export {
  type PairLoss,
  type PairObjective,
  type PairRecipe,
  patched,
  type Recipe,
  type RecipeObjective,
  type RecipeSetup,
} from "./recipe.ts";
export {
  retrieval,
  type RetrievalExtra,
  retrievalFields,
  type RetrievalLoss,
  retrievalLoss,
  type RetrievalMomentum,
} from "./retrieval.ts";
export {
  type FalsePairs,
  type RegionLoss,
  regions,
  regionsFields,
  regionsLoss,
  type RegionsOptions,
} from "./regions.ts";
export { shuffled, type ShuffledOptions } from "./shuffled.ts";
export { siglip, siglipFields, type SiglipSpec, sigmoidLoss } from "./siglip.ts";
export { type AlignmentTerms, alignmentTerms, tcl, type TclLoss, tclLoss, type TwoViewPairs } from "./tcl.ts";
export { uvlp, type UvlpBatch, uvlpFields, type UvlpLoss, uvlpLoss, type UvlpOptions, type UvlpTerm } from "./uvlp.ts";
export { drawFalsePairs, vilt, type ViltBatch, viltFields, type ViltLoss, viltLoss, type ViltOptions } from "./vilt.ts";
export { vqa, type VqaExtra, vqaFields, vqaLoss, type VqaMomentum } from "./vqa.ts";

/** The recipes on images and captions by name; a new one is a line here. */
export const pairRecipes = { grit, albef, "albef-queue": albefQueue, mafa, retrieval, siglip, tcl };

/** Recipes of one stream, which has no features of a side: they are not grouped, and retrieve from shortlists only. */
export const streamRecipes = { imagebert, mug, regions, uvlp, vilt };
