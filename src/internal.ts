/**
 * The inside of the engine: what a new op, a kernel of one's own or a tool that looks into programs needs. It may change with any
 * release.
 *
 * @module
 */
export {
  apply,
  applyAll,
  type Aval,
  type Batch,
  type DType,
  type HostArray,
  Node,
  type Op,
  type View,
} from "./program/graph.ts";
export type { Expression } from "./program/expression.ts";
export type {
  Bindings,
  BoundKernel,
  BufferRef,
  Dispatch,
  Emit,
  Lowering,
  Uniform,
  UniformValues,
} from "./program/lowering.ts";
export type { PipelineSource } from "./gpu/device.ts";
export { type Kernel, kernel, type KernelOptions } from "./gpu/kernel.ts";
export type { Specialization } from "./gpu/wgsl.ts";
export type { Plan, PlannedResult, Slot } from "./program/plan.ts";
export type { Layout, Place } from "./program/memory.ts";
export type { Storage } from "./gpu/storage.ts";
export { placeholder, placeholders, type Program } from "./program/program.ts";
export {
  buildStep,
  type GradientInput,
  metricNames,
  type Step,
  type TrainState,
  type UpdateInput,
} from "./train/step.ts";
