/**
 * Optimizers and schedules.
 *
 * @module
 */
export {
  adamw,
  type AdamWOptions,
  type AdamWState,
  type AdamWStep,
  clipByGlobalNorm,
  ema,
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
export { cosineBySteps, learningRate, type ScheduleOptions } from "./schedule.ts";
