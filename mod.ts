/**
 * Gritstone: WGSL kernels for transformers, the contrastive softmax and the GRIT grouping search, and a functional autograd
 * around them, on any GPU that WebGPU reaches.
 *
 * ```ts
 * import { add, compile, data, type Tensor, tensor } from "./mod.ts";
 *
 * const increment = compile((x: Tensor) => add(x, 1));
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
export { concat, reshape, slice, split, stack, stopGradient } from "./src/ops/shape.ts";
export { max, mean, type ReduceOptions, sum } from "./src/ops/reduce.ts";
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
export { updateRows } from "./src/ops/update_rows.ts";
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
export { itcLoss, itcMomentumLoss, type ItcOptions, type MomentumKeys } from "./src/losses/itc.ts";
export { mlmLoss, type MlmTeacher } from "./src/losses/mlm.ts";
export { chooseNegatives, type Negatives } from "./src/losses/negatives.ts";
export { type Logits, softmaxLoss, type SoftmaxLossOptions, type Targets } from "./src/losses/softmax_loss.ts";

// Models.
export { type AlbefConfig, configs } from "./src/models/config.ts";
export {
  type Tap,
  vit,
  vitBlock,
  type VitBlockSpec,
  type VitConfig,
  type VitContext,
  type VitSpec,
  vitSpec,
} from "./src/models/vit.ts";
export {
  type Bert,
  type BertAttentionSpec,
  type BertConfig,
  type BertContext,
  type BertEncoder,
  bertFusion,
  type BertLayerSpec,
  bertMultimodal,
  type BertSpec,
  bertSpec,
  bertText,
} from "./src/models/bert.ts";
export {
  type Albef,
  type AlbefSpec,
  albefSpec,
  encodeImage,
  encodeText,
  type Matcher,
  matchLogits,
  type PretrainBatch,
  pretrainLoss,
  type PretrainOptions,
  type PretrainResult,
} from "./src/models/albef.ts";

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
export { type Entry, type Flat, type LayoutOptions, officialDecay, ParameterLayout } from "./src/optim/layout.ts";
export { cosineBySteps, learningRate, type ScheduleOptions } from "./src/optim/schedule.ts";

// GRIT.
export { type GritMode, type GritOptions } from "./src/grit/options.ts";
export { GritSampler, type Group, type Grouping } from "./src/grit/sampler.ts";
export { type SamplerState } from "./src/grit/state.ts";
export { type GpuGroup, gpuGroup } from "./src/grit/group.ts";

// Data.
export { type ImageOptions } from "./src/data/transform.ts";
export { cleanCaption, cleanQuestion } from "./src/data/captions.ts";
export {
  type Dataset,
  type DatasetFormat,
  type DatasetOptions,
  type Entry as DatasetEntry,
  openDataset,
  type Skipped,
} from "./src/data/datasets.ts";
export { type Batch, type BatchesOptions, Loader, type LoaderOptions } from "./src/data/loader.ts";
export {
  buildTokenizer,
  type BuildTokenizerOptions,
  loadTokenizer,
  type TokenBatch,
  type Tokenizer,
  type TokenizerOptions,
  writeTokenizer,
} from "./src/data/tokenizer.ts";
export { type Split } from "./src/data/scenes/world.ts";
export { type SceneFiles, sceneFiles, type SceneProgress, writeScenes } from "./src/data/scenes/write.ts";
export { type SceneOptions } from "./src/data/scenes/options.ts";

// Files.
export { type Archive, type LazyTensor, type TensorInfo } from "./src/io/archive.ts";
export { type Dtype, type DTYPE_BITS, type NamedTensor, type TensorData } from "./src/io/dtype.ts";
export { type NameRule, type NameTable } from "./src/io/names.ts";
export { albefNames, albefNamesForAnswers, albefNamesForTwoImages } from "./src/io/names_albef.ts";
export { bertNames } from "./src/io/names_bert.ts";
export { huggingFaceVitNames, timmNames } from "./src/io/names_vit.ts";
export { openCheckpoint } from "./src/io/checkpoint.ts";
export { type ExportOptions, exportParameters } from "./src/io/export.ts";
export { type LoadOptions, loadParameters } from "./src/io/load.ts";
export { formatLoadReport, type LoadReport } from "./src/io/load_report.ts";
export { openPth } from "./src/io/pth.ts";
export { openSafetensors, parseSafetensors, writeSafetensors } from "./src/io/safetensors.ts";

// Training and evaluation.
export { type Recall, type Recalls } from "./src/eval/recall.ts";
export { type SavedCheckpoint } from "./src/train/checkpoint.ts";
export { type StepOptions } from "./src/train/step.ts";
export { type Metrics, train, type TrainOptions, type TrainResult } from "./src/train/train.ts";
export { type LossResult, type Settings, type Task, type TrainBatch } from "./src/train/task.ts";
export {
  PRETRAINING_LAYOUT,
  PRETRAINING_METRICS,
  type PretrainingOptions,
  PretrainingTask,
  type PretrainInput,
  type Queues,
} from "./src/tasks/pretraining.ts";
export {
  RetrievalEvaluator,
  type RetrievalOptions,
  type RetrievalResult,
  type RetrievalSet,
} from "./src/eval/retrieval.ts";
export { retrievalSet, type RetrievalSetOptions } from "./src/eval/retrieval_set.ts";
