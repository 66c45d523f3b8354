/**
 * Evaluation.
 *
 * @module
 */
export { falseNegativeRate, type FalseNegatives } from "./false_negatives.ts";
export { type Recall, type Recalls } from "./recall.ts";
export { RetrievalEvaluator, type RetrievalOptions, type RetrievalResult, type RetrievalSet } from "./retrieval.ts";
export { type DiskRetrievalSet, retrievalSet, type RetrievalSetOptions } from "./retrieval_set.ts";
export {
  type ImageFeatures,
  type ImageText,
  PairEncoder,
  type PairEncoderOptions,
  type PairScore,
  scorePairs,
  type ScorePairsOptions,
} from "./pair_encoder.ts";
export { AnswerScorer, type AnswerScorerOptions } from "./answer_scores.ts";
export { AnswerGenerator, generateAnswers, type GeneratedAnswer, type GenerateOptions } from "./generate.ts";
export { type WrittenText } from "./beam.ts";
export { type Prompts } from "./prompts.ts";
export { restrict, sampleTokens, type SamplingOptions } from "./sampling.ts";
export { generateTexts, TextGenerator, type TextOptions } from "./generate_text.ts";
export { type Candidates, rankAnswers, type RankedAnswers, type RankOptions } from "./answers.ts";
export {
  type HumanAnswer,
  normalizeVqaAnswer,
  type VqaAccuracy,
  vqaAccuracy,
  type VqaAnnotation,
} from "./vqa_accuracy.ts";
export { type NamedText } from "./result_files.ts";
export { type VqaResult, type VqaResultOptions, writeVqaResults } from "./vqa_results.ts";
export { vqaFileAccuracy, type VqaFiles } from "./vqa_files.ts";
export { type NlvrAccuracy, nlvrAccuracy, type NlvrStatement } from "./nlvr_accuracy.ts";
export { nlvrFileAccuracy, type NlvrFiles } from "./nlvr_files.ts";
export {
  boxScore,
  chooseBox,
  type GroundedResult,
  type GroundedText,
  type GroundingAccuracy,
  groundingAccuracy,
  type HeatMap,
  iou,
  judgeMap,
  pointsInto,
  resizeMap,
} from "./grounding.ts";
export { groundingLayer, type GroundingMaps, groundingMaps, type GroundingMapsOptions } from "./grounding_maps.ts";
export { GroundingEvaluator, type GroundingOptions, type GroundingSet, type TextMaps } from "./grounding_evaluator.ts";
export { groundingSet, type GroundingSetOptions } from "./grounding_set.ts";
export { type WordMap, wordMaps } from "./word_maps.ts";
export {
  heatColor,
  type MapPicture,
  type MapPictureOptions,
  mapPictures,
  paintMap,
  type PhotoMaps,
  writeMapPictures,
} from "./map_pictures.ts";
export { evaluateGroups, type GroupOptions, type GroupRecall, type GroupResult } from "./groups.ts";
export { usageOfVision, type UsageOptions, type VisionUsage, type WithoutImage } from "./usage_of_vision.ts";
