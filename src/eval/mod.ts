/**
 * Evaluation.
 *
 * @module
 */
export { falseNegativeRate, type FalseNegatives } from "./false_negatives.ts";
export { type Recall, type Recalls } from "./recall.ts";
export { RetrievalEvaluator, type RetrievalOptions, type RetrievalResult } from "./retrieval.ts";
export { type RetrievalSet, retrievalSet, type RetrievalSetOptions } from "./retrieval_set.ts";
export { type Candidates, rankAnswers, type RankedAnswers, type RankOptions } from "./answers.ts";
export {
  type HumanAnswer,
  normalizeVqaAnswer,
  type VqaAccuracy,
  vqaAccuracy,
  type VqaAnnotation,
} from "./vqa_accuracy.ts";
export { type NamedText } from "./result_files.ts";
export { vqaFileAccuracy, type VqaFiles } from "./vqa_files.ts";
export { type NlvrAccuracy, nlvrAccuracy, type NlvrStatement } from "./nlvr_accuracy.ts";
export { nlvrFileAccuracy, type NlvrFiles } from "./nlvr_files.ts";
export { evaluateGroups, type GroupOptions, type GroupRecall, type GroupResult } from "./groups.ts";
export { usageOfVision, type UsageOptions, type VisionUsage, type WithoutImage } from "./usage_of_vision.ts";
