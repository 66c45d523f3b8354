/**
 * Images, captions, tokens: data sets, mini-batches, and a small world of scenes.
 *
 * @module
 */
export { type ImageOptions, type RgbImage } from "./transform.ts";
export { cleanCaption, cleanQuestion } from "./captions.ts";
export { type Dataset, type Example, ExampleError, type ImageFile, type Skipped } from "./dataset.ts";
export { type CaptionDataset, type CaptionEntry, type CaptionPair, captionPair } from "./caption_pairs.ts";
export { type ItemFiles } from "./read_items.ts";
export { type DatasetFormat, type FileOptions } from "./dataset_files.ts";
export type { ImageFolder } from "./image_paths.ts";
export { type DatasetOptions, openDataset } from "./datasets.ts";
export {
  type Collate,
  imageShape,
  maskedShapes,
  type MaskedTensors,
  maskedTokens,
  tokenShapes,
  type TokenTensors,
  tokenTensors,
} from "./collate.ts";
export {
  type MlmBatch,
  mlmCollate,
  type MlmCollateOptions,
  type PairBatch,
  pairCollate,
  type PairCollateOptions,
  type TwoViewBatch,
  twoViewCollate,
} from "./pair_collate.ts";
export { type NlvrBatch, nlvrCollate, type NlvrExample } from "./nlvr_collate.ts";
export { type EntailmentBatch, entailmentCollate } from "./entailment_collate.ts";
export {
  type AnswerTensors,
  listedAnswers,
  type VqaBatch,
  vqaCollate,
  type VqaCollateOptions,
  type VqaExample,
} from "./vqa_collate.ts";
export { type TaskDataset, type TaskFiles } from "./task_files.ts";
export { openVqa, type VqaDataset, type VqaDatasetOptions, type VqaQuestion } from "./vqa.ts";
export { type NlvrDataset, type NlvrSentence, openNlvr } from "./nlvr.ts";
export {
  ENTAILMENT_CLASSES,
  type EntailmentClass,
  type EntailmentDataset,
  type EntailmentExample,
  openEntailment,
} from "./entailment.ts";
export {
  type Box,
  type ExpressionDataset,
  type ExpressionDatasetOptions,
  type ExpressionExample,
  openExpressions,
  readDetections,
} from "./expressions.ts";
export { type CheckProgress } from "./check_images.ts";
export { type Batch, type BatchesOptions, Loader, type LoaderOptions } from "./loader.ts";
export {
  buildTokenizer,
  type BuildTokenizerOptions,
  loadTokenizer,
  type TokenBatch,
  type Tokenizer,
  type TokenizerOptions,
  tokenizerText,
  writeTokenizer,
} from "./tokenizer.ts";
export {
  buildTextTokenizer,
  type BuildTextTokenizerOptions,
  loadTextTokenizer,
  type TextTokenizer,
  type TextTokenizerOptions,
} from "./bpe.ts";
export { readTexts, type TextFiles } from "./texts.ts";
export { imageFile, type Segment, type Sequence, type SequenceOptions, toSequence } from "./sequences/sequence.ts";
export { type SequenceSource, ShuffledSource, type SourceOptions, type SourceState } from "./sequences/source.ts";
export { textSource, type TextSourceOptions } from "./sequences/texts.ts";
export { captionSegments, pairSource, type PairSourceOptions } from "./sequences/pairs.ts";
export { interleavedSource, type InterleavedSourceOptions } from "./sequences/interleaved.ts";
export {
  type Conversation,
  conversationSegments,
  conversationSource,
  type ConversationSourceOptions,
  type ConversationTemplate,
  type Turn,
} from "./sequences/conversations.ts";
export { type DecoderBatch, type DecoderRows, sequenceShapes } from "./sequences/decoder_batch.ts";
export { Mixer, type MixerState, type MixPart, type Room } from "./sequences/mixer.ts";
export {
  type PackedRows,
  Packer,
  type PackerOptions,
  type PackerState,
  type RowOptions,
  rowPerSequence,
} from "./sequences/packer.ts";
export { type PixelOptions, SequenceBatcher, type SequenceBatchOptions, SequenceStream } from "./sequences/stream.ts";
export { openRegions, type RegionPair, withRegions } from "./regions/dataset.ts";
export {
  type FoundText,
  namedClasses,
  type Naming,
  naming,
  TagIndex,
  type WeakPairOptions,
  weakPairs,
} from "./regions/weak_pairs.ts";
export { type Regions, type RegionSource } from "./regions/regions.ts";
export {
  type RegionBatch,
  regionCollate,
  type RegionCollateOptions,
  type RegionSizes,
  type RegionTensors,
} from "./regions/collate.ts";
export { SCENE_REGION_CLASSES, type SceneRegionOptions, writeSceneRegions } from "./scenes/regions.ts";
export { Random, type RandomState } from "../random/random.ts";
export { type Relation, type RelationFact } from "./scenes/facts.ts";
export { captionHolds, sceneTruth } from "./scenes/truth.ts";
export { type Color, type Scene, type SceneObject, type SceneSplit, type Shape, type Size } from "./scenes/world.ts";
export { type SceneFacts, type SceneProgress } from "./scenes/pictures.ts";
export { type SceneFiles, sceneFiles, writeScenes } from "./scenes/write.ts";
export { type TaskSceneFiles, taskSceneFiles, type TaskSceneOptions, writeTaskScenes } from "./scenes/tasks.ts";
export { type SceneOptions } from "./scenes/options.ts";
export { asked, type Cloze } from "./scenes/stories.ts";
export { placeWords } from "./scenes/language.ts";
export {
  type ClozeTask,
  readClozeTasks,
  type SceneTextFiles,
  sceneTextFiles,
  type SceneTextOptions,
  writeSceneTexts,
} from "./scenes/corpus.ts";
