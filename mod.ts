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
export { DeviceLostError, formatBytes, KernelError, OutOfMemoryError, UnsupportedError } from "./src/gpu/errors.ts";
export { setUpAdapter } from "./src/io/setup.ts";
export { loadTuning } from "./src/io/matmul_tuning.ts";

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
export { type Avals, type AvalTree, entries, fromLeaves, leaves, mapTree, type Tree } from "./src/program/tree.ts";

// Differentiation.
export { checkpoint, customVjp, grad, valueAndGrad, valueAndGradAux, vjp } from "./src/autograd/grad.ts";

// Ops.
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
} from "./src/ops/elementwise.ts";
export { full } from "./src/ops/full.ts";
export { concat, reshape, slice, split, stack, stopGradient } from "./src/ops/shape.ts";
export { broadcastTo, mean, type ReduceOptions, sum } from "./src/ops/reduce.ts";
export { max } from "./src/ops/max.ts";
export { matmul, type MatmulAttrs } from "./src/ops/matmul.ts";
export { logSoftmax, logSumExp, softmax } from "./src/ops/softmax.ts";
export { layerNorm } from "./src/ops/layer_norm.ts";
export { dropout, foldIn, type Key, randomKey, uniform } from "./src/ops/random.ts";
export { attention, type AttentionDropout, type AttentionOptions } from "./src/ops/attention.ts";
export { crossEntropy, type CrossEntropyOptions } from "./src/ops/cross_entropy.ts";
export { gather, type GatherOptions, scatterAdd } from "./src/ops/gather.ts";
export { argmax } from "./src/ops/argmax.ts";
export { topK } from "./src/ops/top_k.ts";
export { transpose } from "./src/ops/transpose.ts";
export { patchify, patchifyBytes, type PatchifyBytesOptions, type Rgb } from "./src/ops/patchify.ts";
export { ringUpdate } from "./src/ops/ring_update.ts";
export { groupingWalk } from "./src/ops/grouping_walk.ts";

// Layers and parameters.
export { type Affine, type AffineSpec, defaultLinearSpec, layerNormSpec, linear, linearSpec } from "./src/nn/layers.ts";
export {
  countParameters,
  type Init,
  initialize,
  type ParametersOf,
  Spec,
  specEntries,
  type SpecTree,
} from "./src/nn/spec.ts";

// Losses.
export { itcLoss, itcMomentumLoss, type ItcOptions, type MomentumItcOptions } from "./src/losses/itc.ts";
export { itmLoss } from "./src/losses/itm.ts";
export { maskedLogits, type MaskedTexts, mlmLoss, type SoftTargets } from "./src/losses/mlm.ts";
export {
  chooseNegatives,
  NEGATIVE_KINDS,
  type NegativeKind,
  type PairNegatives,
  pairNegatives,
} from "./src/losses/negatives.ts";
export {
  distilled,
  type Logits,
  softmaxLoss,
  type SoftmaxLossOptions,
  type Targets,
} from "./src/losses/softmax_loss.ts";
export { type Total, total } from "./src/losses/total.ts";

// Optimizers.
export {
  adamw,
  type AdamWOptions,
  type AdamWState,
  type AdamWStep,
  clipByGlobalNorm,
  ema,
  globalNorm,
  stepInputs,
} from "./src/optim/adamw.ts";
export {
  officialDecay,
  type ParameterBuffer,
  ParameterLayout,
  type ParameterPlace,
  type ParameterRules,
} from "./src/optim/layout.ts";
export { cosineBySteps, learningRate, type ScheduleOptions } from "./src/optim/schedule.ts";

// GRIT.
export { type GritMode, type SamplerOptions } from "./src/grit/options.ts";
export { GritSampler, type Grouping, type GroupingSearch } from "./src/grit/sampler.ts";
export { type SamplerState } from "./src/grit/state.ts";
export { type GpuGrouping, gpuGrouping, groupingBytes } from "./src/grit/group.ts";

// Rooms with a sub-path of their own.
export * from "./src/data/mod.ts";
export * from "./src/io/mod.ts";
export * from "./src/models/mod.ts";
export * from "./src/train/mod.ts";
export * from "./src/recipes/mod.ts";
/** Settings of a program, each declared once. */
export * as settings from "./src/settings/mod.ts";

// Evaluation.
export { type Recall, type Recalls } from "./src/eval/recall.ts";
export {
  RetrievalEvaluator,
  type RetrievalOptions,
  type RetrievalResult,
  type RetrievalSet,
} from "./src/eval/retrieval.ts";
export { retrievalSet, type RetrievalSetOptions } from "./src/eval/retrieval_set.ts";
export { type Candidates, rankAnswers, type RankedAnswers, type RankOptions } from "./src/eval/answers.ts";
export {
  type HumanAnswer,
  normalizeVqaAnswer,
  type VqaAccuracy,
  vqaAccuracy,
  type VqaAnnotation,
} from "./src/eval/vqa_accuracy.ts";
export { type NamedText } from "./src/eval/result_files.ts";
export { vqaFileAccuracy, type VqaFiles } from "./src/eval/vqa_files.ts";
export { type NlvrAccuracy, nlvrAccuracy, type NlvrStatement } from "./src/eval/nlvr_accuracy.ts";
export { nlvrFileAccuracy, type NlvrFiles } from "./src/eval/nlvr_files.ts";
