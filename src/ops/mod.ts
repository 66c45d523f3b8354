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
} from "./elementwise.ts";
export { full } from "./full.ts";
export { concat, reshape, slice, split, stack, stopGradient } from "./shape.ts";
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
export { dropout, foldIn, type Key, randomKey, uniform } from "./random.ts";
export { attention, type AttentionDropout, type AttentionOptions } from "./attention.ts";
export { rotaryEmbedding, type RotaryEmbeddingOptions } from "./rotary_embedding.ts";
export { crossEntropy, type CrossEntropyOptions } from "./cross_entropy.ts";
export { gather, type GatherOptions, scatterAdd } from "./gather.ts";
export { argmax, type ArgmaxOptions, argmin } from "./argmax.ts";
export { topK, type TopKOptions } from "./top_k.ts";
export { argsort, sort, type SortOptions } from "./sort.ts";
export { transpose } from "./transpose.ts";
export { patchify, patchifyBytes, type PatchifyBytesOptions, type Rgb } from "./patchify.ts";
export { ringUpdate } from "./ring_update.ts";
export { groupingWalk } from "./grouping_walk.ts";
