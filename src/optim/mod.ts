/**
 * Optimizers over trees and schedules, and the trainer's own AdamW over flat buffers.
 *
 * @module
 */
export {
  type AdamWOptions,
  type AdamWState,
  type AdamWStep,
  clipToNorm,
  ema,
  flatAdamW,
  globalNorm,
  stepInputs,
} from "./adamw.ts";
export {
  officialDecay,
  type ParameterBuffer,
  ParameterLayout,
  type ParameterPlace,
  type ParameterRules,
} from "./layout.ts";
export { ascend, type AscentOptions, startPerturbation } from "./perturbation.ts";
export { cosineBySteps, learningRate, type ScheduleOptions } from "./schedule.ts";
export { applyUpdates, byGroup, chain, freeze, type Mask, type Transformation } from "./transformation.ts";
export {
  addDecayedWeights,
  clip,
  clipByGlobalNorm,
  type Rate,
  scale,
  scaleByLearningRate,
  scaleBySchedule,
  weightEma,
} from "./transforms.ts";
export {
  type AdamMoments,
  type LionMoments,
  type MomentumOptions,
  type RmsMoments,
  scaleByAdam,
  scaleByLion,
  scaleByMomentum,
  scaleByRms,
} from "./moments.ts";
export { adafactor, type AdafactorOptions } from "./adafactor.ts";
export {
  adam,
  adamw,
  type DecayOptions,
  lion,
  rmsprop,
  type RmspropOptions,
  sgd,
  type SgdOptions,
} from "./optimizers.ts";
export {
  constantSchedule,
  cosineSchedule,
  exponentialSchedule,
  joinSchedules,
  linearSchedule,
  polynomialSchedule,
  type Schedule,
  stepSchedule,
  warmup,
} from "./schedules.ts";
