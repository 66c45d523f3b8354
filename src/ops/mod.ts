/**
 * The ops.
 *
 * @module
 */
export {
  abs,
  add,
  cast,
  clamp,
  divide,
  equal,
  erf,
  exp,
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
} from "./elementwise.ts";
export { greater, isFinite, isInf, isNaN, lessEqual, notEqual } from "./comparisons.ts";
export { logicalAnd, logicalNot, logicalOr, logicalXor } from "./logic.ts";
export { floorDivide, fmod, remainder } from "./division.ts";
export { bitwiseAnd, bitwiseNot, bitwiseOr, bitwiseXor, leftShift, rightShift } from "./bitwise.ts";
export { ceil, erfInv, exp2, expm1, floor, log1p, log2, pow, reciprocal, round, rsqrt, trunc } from "./math.ts";
export { acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, sin, sinh, tan } from "./trigonometry.ts";
export {
  elu,
  gelu,
  type GeluOptions,
  hardSigmoid,
  hardSwish,
  hardTanh,
  leakyRelu,
  logSigmoid,
  mish,
  selu,
  silu,
  softplus,
  softsign,
} from "./activations.ts";
export { full } from "./full.ts";
export {
  arange,
  fullLike,
  linspace,
  meshgrid,
  type MeshgridOptions,
  oneHot,
  type OneHotOptions,
  ones,
  onesLike,
  zeros,
  zerosLike,
} from "./creation.ts";
export { diag, diagonal, eye, type EyeOptions, tril, triu } from "./diagonals.ts";
export { concat, reshape, slice, split, stack, stopGradient } from "./shape.ts";
export { type AxisOrAxes, expandDims, flatten, moveAxis, squeeze, swapAxes } from "./axes.ts";
export { repeat, tile } from "./repeat.ts";
export { flip, strided, type StridedRange } from "./strided.ts";
export { roll } from "./roll.ts";
export { pad, type PadAmount, type PadOptions } from "./pad.ts";
export { broadcastTo, mean, type ReduceOptions, sum } from "./reduce.ts";
export { max, min } from "./max.ts";
export { prod } from "./prod.ts";
export { all, any } from "./any.ts";
export { std, variance, type VarianceOptions } from "./variance.ts";
export { l2Normalize, type L2NormalizeOptions, norm, type NormOptions } from "./norm.ts";
export { cumprod, cumsum, logCumsumExp, type ScanOptions } from "./scan.ts";
export { matmul, type MatmulAttrs } from "./matmul.ts";
export { einsum } from "./einsum.ts";
export { dot, outer, tensordot, vdot } from "./dot.ts";
export { logSoftmax, logSumExp, softmax, type SoftmaxOptions } from "./softmax.ts";
export { layerNorm } from "./layer_norm.ts";
export { batchNorm, type BatchNormOptions, type BatchNormState, groupNorm, instanceNorm, rmsNorm } from "./norms.ts";
export {
  dropout,
  foldIn,
  gumbel,
  type Key,
  randint,
  randomBits,
  randomKey,
  splitKey,
  uniform,
  type UniformOptions,
} from "./random.ts";
export {
  bernoulli,
  categorical,
  choice,
  type ChoiceOptions,
  normal,
  type NormalOptions,
  permutation,
  shuffle,
  truncatedNormal,
} from "./distributions.ts";
export { attention, type AttentionDropout, type AttentionOptions } from "./attention.ts";
export { rotaryEmbedding, type RotaryEmbeddingOptions } from "./rotary_embedding.ts";
export { crossEntropy, type CrossEntropyOptions } from "./cross_entropy.ts";
export { gather, type GatherOptions, scatterAdd, type ScatterAddOptions } from "./gather.ts";
export { scatterAddAlongAxis, take, takeAlongAxis, type TakeOptions } from "./take.ts";
export { argmax, type ArgmaxOptions, argmin } from "./argmax.ts";
export { topK, type TopKOptions } from "./top_k.ts";
export { argsort, sort, type SortOptions } from "./sort.ts";
export { transpose } from "./transpose.ts";
export { patchify, patchifyBytes, type PatchifyBytesOptions, type Rgb } from "./patchify.ts";
export {
  conv1d,
  type Conv1dOptions,
  conv2d,
  type ConvChannels,
  type ConvOptions,
  convTranspose2d,
  type ConvTransposeOptions,
} from "./conv.ts";
export {
  avgPool1d,
  type AvgPool1dOptions,
  avgPool2d,
  type AvgPoolOptions,
  maxPool1d,
  type MaxPool1dOptions,
  maxPool2d,
  type MaxPoolOptions,
} from "./pool.ts";
export { resize, type ResizeOptions } from "./resize.ts";
export type { Padding, PerAxis, Window1dOptions, WindowOptions } from "./_window.ts";
export { ringUpdate } from "./ring_update.ts";
export { groupingWalk } from "./grouping_walk.ts";
