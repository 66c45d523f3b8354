/**
 * Gritstone: WGSL kernels for transformers, the contrastive softmax and the GRIT grouping search, and a functional autograd
 * around them, on any GPU that WebGPU reaches.
 *
 * ```ts
 * import { add, compile, data, tensor } from "./mod.ts";
 *
 * const increment = compile((x) => add(x, 1));
 * console.log(await data(await increment(tensor([1, 2, 3])))); // Float32Array(3) [ 2, 3, 4 ]
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
export { DeviceLostError, KernelError, OutOfMemoryError } from "./src/gpu/errors.ts";

// Tensors and programs.
export {
  compile,
  type Compiled,
  type CompileOptions,
  data,
  evaluate,
  item,
  read,
  tensor,
  toDevice,
} from "./src/program/compile.ts";
export { type CompileProgress, type KernelTime, Program } from "./src/program/program.ts";
export { entries, fromLeaves, leaves, mapTree, type Tree } from "./src/program/tree.ts";

// Ops of your own: a shape rule, a gradient rule and a kernel.
export {
  apply,
  applyAll,
  type Aval,
  type DType,
  type HostArray,
  Node,
  type Op,
  Tensor,
  type View,
} from "./src/program/graph.ts";
export type { Expression } from "./src/program/expression.ts";
export type { BufferRef, Dispatch, Emit, Lowering, Uniform } from "./src/program/lowering.ts";
export type { Plan, PlannedResult, Slot } from "./src/program/plan.ts";
export type { Layout, Place } from "./src/program/memory.ts";
export type { Storage } from "./src/gpu/storage.ts";

// Differentiation.
export { checkpoint, customVjp, grad, valueAndGrad, valueAndGradAux, vjp } from "./src/autograd/grad.ts";

// Ops.
export {
  abs,
  add,
  broadcastTo,
  cast,
  clamp,
  constant,
  divide,
  equal,
  erf,
  exp,
  gelu,
  greaterEqual,
  iota,
  less,
  log,
  maximum,
  minimum,
  multiply,
  negate,
  type Operand,
  relu,
  sigmoid,
  sign,
  sqrt,
  square,
  subtract,
  tanh,
  where,
} from "./src/ops/elementwise.ts";
export { concat, reshape, slice, stack, stopGradient } from "./src/ops/shape.ts";
export { max, mean, type ReduceOptions, sum } from "./src/ops/reduce.ts";
export { matmul, type MatmulAttrs } from "./src/ops/matmul.ts";
export { logSoftmax, logSumExp, softmax } from "./src/ops/softmax.ts";
export { layerNorm } from "./src/ops/layer_norm.ts";
export { dropout, foldIn, type Key, randomKey, uniform } from "./src/ops/random.ts";
