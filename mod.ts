/**
 * Gritstone: WGSL kernels for transformers, the contrastive softmax and the GRIT grouping search, and a functional autograd
 * around them, on any GPU that WebGPU reaches.
 *
 * ```ts
 * import { add, compile, toHost, type Tensor, tensor } from "./mod.ts";
 *
 * const increment = compile((x: Tensor) => add(x, 1));
 * console.log(await toHost(await increment(tensor([1, 2, 3])))); // Float32Array(3) [ 2, 3, 4 ]
 * ```
 *
 * @module
 */

// Devices.
export {
  defaultDevice,
  Device,
  type DeviceOptions,
  type DeviceProfile,
  type MemoryUse,
  openDevice,
  setDefaultDevice,
} from "./src/gpu/device.ts";
export { type KernelChoices, type ProductChoice } from "./src/gpu/kernel_choices.ts";
export { DeviceLostError, formatBytes, KernelError, OutOfMemoryError, UnsupportedError } from "./src/gpu/errors.ts";

// Tensors and programs.
export {
  compile,
  type Compiled,
  type CompileOptions,
  evaluate,
  item,
  tensor,
  type TensorOptions,
  toDevice,
  toHost,
} from "./src/program/compile.ts";
export { type NestedNumbers } from "./src/program/host_array.ts";
export { type CompileProgress, type KernelTime, Program } from "./src/program/program.ts";
export { type Aval, type DType, type HostArray, Tensor } from "./src/program/graph.ts";
export {
  type Avals,
  type AvalTree,
  entries,
  filterTree,
  fromLeaves,
  leaves,
  mapTree,
  mapTrees,
  partitionTree,
  paths,
  reduceTree,
  replaceLeaves,
  type Tree,
} from "./src/program/tree.ts";

// The rooms, the lowest first.
export * from "./src/ops/mod.ts";
export * from "./src/autograd/mod.ts";
export * from "./src/nn/mod.ts";
export * from "./src/io/mod.ts";
export * from "./src/optim/mod.ts";
export * from "./src/data/mod.ts";
export * from "./src/grit/mod.ts";
export * from "./src/models/mod.ts";
export * from "./src/losses/mod.ts";
export * from "./src/train/mod.ts";
export * from "./src/eval/mod.ts";
export * from "./src/recipes/mod.ts";
/** Settings of a program, each declared once. */
export * as settings from "./src/settings/mod.ts";
