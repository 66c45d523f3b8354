/**
 * Training: the loop, what it needs to know of a task, checkpoints, estimates of memory. Nothing about models.
 *
 * @module
 */
export { listCheckpoints, type SavedCheckpoint } from "./checkpoint.ts";
export {
  type BatchRange,
  describeMemory,
  estimateMemory,
  type EstimateOptions,
  estimateStep,
  largestBatch,
  type MemoryEstimate,
  type StepEstimate,
} from "./estimate.ts";
export { type Metrics } from "./report.ts";
export { type StepOptions } from "./step.ts";
export {
  type DataStream,
  type LossResult,
  type NoExtra,
  type Objective,
  type Position,
  type Setting,
  type Settings,
  type StepContext,
  type Task,
  type TrainBatch,
} from "./task.ts";
export { train, type TrainOptions, type TrainResult } from "./train.ts";
