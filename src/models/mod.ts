/**
 * Models: shapes of their parameters and functions of (parameters, inputs).
 *
 * @module
 */
export {
  encodeSeen,
  hidePatches,
  paintPatches,
  type PixelDecoderConfig,
  type PixelDecoderSpec,
  pixelDecoderSpec,
  seenCount,
  type SeenOfImages,
} from "./masked_autoencoder.ts";
export { type AlbefConfig, configs } from "./config.ts";
export { type AttentionTap } from "./attention_tap.ts";
export {
  type ActivationTap,
  vit,
  vitBlock,
  type VitBlockContext,
  type VitBlockSpec,
  type VitConfig,
  type VitContext,
  type VitSpec,
  vitSpec,
} from "./vit.ts";
export {
  type Bert,
  type BertContext,
  type BertEncoder,
  bertFusion,
  bertMultimodal,
  type BertSpec,
  bertSpec,
  bertText,
  type CrossKeys,
  crossKeys,
} from "./bert.ts";
export { type BertAttentionSpec, type BertConfig, type BertLayerSpec, type KeysAndValues } from "./bert_layer.ts";
export {
  type Albef,
  albefPairs,
  type AlbefSpec,
  albefSpec,
  branch,
  type Encoded,
  type EncodedPairs,
  encodeImage,
  encodePairs,
  encodeText,
  imagePatches,
  type Matcher,
  matchLogits,
  type ModelContext,
  type PairFeatures,
  type PairModel,
  type PatchedPairs,
  TEMPERATURE_BOUNDS,
  type Tokens,
} from "./albef.ts";
export {
  advanceQueues,
  encodeKeys,
  type KeyQueues,
  MOMENTUM_PARTS,
  type MomentumEncoders,
  momentumEncoders,
  type MomentumKeys,
  type MomentumPairs,
  startQueues,
} from "./momentum.ts";
export { loadOfficial, type OfficialModels, officialNames, type OfficialOptions, officialTasks } from "./official.ts";
export { asMatcher, type Retrieval, type RetrievalSpec, retrievalSpec } from "./retrieval.ts";
export {
  type AnswerCache,
  cacheQuestions,
  decodeToken,
  decodeWhole,
  emptyAnswerCache,
  type QuestionCache,
} from "./answer_decoder.ts";
export { decodeAnswers, type Decoding, encodeQuestions, type Vqa, type VqaSpec, vqaSpec } from "./vqa.ts";
export {
  encodeTwoImages,
  type Nlvr,
  nlvrLogits,
  type NlvrSpec,
  nlvrSpec,
  type PairedLayerSpec,
  type TextAssignment,
  type TextAssignmentSpec,
  textAssignmentSpec,
  type TwoImageBertSpec,
} from "./nlvr.ts";
export { type ClassHeadSpec } from "./class_head.ts";
export { type Entailment, entailmentLogits, type EntailmentSpec, entailmentSpec } from "./entailment.ts";
export {
  type Vilt,
  type ViltConfig,
  type ViltContext,
  viltImageEmbed,
  viltMatchLogits,
  type ViltSpec,
  viltSpec,
  type ViltStates,
  viltStates,
  viltVocabularyLogits,
} from "./vilt.ts";
export {
  predictedFeatures,
  regionClassLogits,
  type RegionConfig,
  type RegionContext,
  regionEmbed,
  regionLayers,
  regionMatchLogits,
  type RegionModel,
  type RegionSpec,
  regionSpec,
  type RegionStates,
  regionStates,
  regionVocabularyLogits,
  regionWordEmbed,
  type RegionWords,
  type SeenRegions,
} from "./regions.ts";
export { type ShortlistedVilt, viltPairs } from "./vilt_pairs.ts";
export {
  type CanvasImages,
  type Grid,
  ownPatches,
  type PatchRule,
  resizedPositions,
  type SeenPatches,
  seePatches,
} from "./vilt_patches.ts";
export { type DecoderConfig, decoderConfigs, swigluWidth } from "./decoder_config.ts";
export {
  type Decoder,
  type DecoderContext,
  decoderHead,
  type DecoderLayerSpec,
  decoderLogits,
  type DecoderSpec,
  decoderSpec,
  decoderStates,
  embedTokens,
  type NormSpec,
  type WeightSpec,
} from "./decoder.ts";
export { type Begun, decodeAgain, decodeNext, type DecoderCache, fillCache } from "./decoder_cache.ts";
export { tower, type TowerConfig, towerConfigs, type TowerSpec, towerSpec } from "./image_tower.ts";
export {
  embedImages,
  embedRows,
  type ImagePrefixConfig,
  imageTokenCount,
  languageModelParts,
  projectImages,
  type ProjectorSpec,
  projectorSpec,
  spliceImages,
  type VisionLanguage,
  type VisionLanguageConfig,
  type VisionLanguageContext,
  type VisionLanguageSpec,
  visionLanguageSpec,
  visionLanguageStates,
} from "./vision_language.ts";
