/** What finetune.ts and evaluate.ts need to know of a downstream task. */
import type {
  AlbefConfig,
  Dataset,
  Example,
  LoadOptions,
  RecipeObjective,
  RecipeSetup,
  settings,
  TaskSceneFiles,
  Tokenizer,
} from "../../mod.ts";
import type { Shared } from "../_settings.ts";

/** Files of a split. */
export interface Files {
  readonly data: readonly string[];
  readonly images?: string;
  /** Entries of this split of the files alone. */
  readonly split?: string;
  /** VQA v2's files of answers. */
  readonly annotations?: readonly string[];
  readonly onError: Shared["onError"];
  readonly outside: Shared["outside"];
}

/** Values of the task's settings, and what {@linkcode DownstreamTask.prepare} has found. */
// deno-lint-ignore no-explicit-any
export type Values = Readonly<Record<string, any>>;

/** Parameters, whatever their tree is. */
// deno-lint-ignore no-explicit-any
export type Parameters = any;

/** The objective of a task. */
// deno-lint-ignore no-explicit-any
export type TaskObjective<E extends Example> = RecipeObjective<E, any, any, any>;

/** A downstream task. */
export interface DownstreamTask<E extends Example, D extends Dataset<E> = Dataset<E>> {
  /** What it is, for the help. */
  readonly title: string;
  /** Defaults that are other than pre-training's. */
  readonly usual: Partial<Shared>;
  /** The paper's values of settings that all tasks share. */
  readonly paper: Readonly<Record<string, string>>;
  /** Settings that only training has. */
  readonly training: settings.Fields;
  /** Settings of evaluation, which training has too. */
  readonly evaluation: settings.Fields;
  /** What an entry of the data files is, for the help. */
  readonly files: string;
  /** What a file of predictions is, where there is one. */
  readonly predictions?: string;
  /** What the demo learns: files of scenes, and settings beside those. */
  readonly demo: {
    readonly files: "captions" | "questions" | "statements" | "entailment" | "expressions";
    preset?(training: TaskSceneFiles): Values;
  };
  /** Opens a split; the examples of one to be evaluated may have another form. */
  open(files: Files, use: "train" | "evaluate", values: Values): Promise<D>;
  /** All texts of a data set, for a tokenizer. */
  texts(dataset: D): Iterable<string>;
  /** Values that depend on the training data; there is none in evaluate.ts. */
  prepare?(values: Values, training: D | undefined): Promise<Values>;
  /** Texts by file name that evaluate.ts needs of a run. */
  keep?(values: Values): Record<string, string>;
  /** What is trained. */
  objective(setup: RecipeSetup, values: Values): TaskObjective<E>;
  /** Training that comes first, if it is asked for. */
  before?(values: Values, training: D): Promise<Before> | Before | undefined;
  /** How a checkpoint with tensors of these names starts the model, and which parameters it may lack. */
  start(names: readonly string[], config: AlbefConfig): LoadOptions;
  /** The model as official checkpoints are made for. */
  readonly official: "retrieval" | "vqa" | "nlvr" | "entailment" | "grounding";
  /** Measures models on splits. */
  evaluator(context: EvaluationContext<E>): Evaluator<D>;
}

/** Training by another objective, whose result is where the task starts. */
export interface Before {
  /** The run's folder in that of the task. */
  readonly name: string;
  readonly dataset: Dataset<Example>;
  readonly texts: () => Iterable<string>;
  // deno-lint-ignore no-explicit-any
  objectiveOf(setup: RecipeSetup): RecipeObjective<any, any, any, any>;
  readonly steps: number;
  readonly start: DownstreamTask<Example>["start"];
}

/** What an evaluator is told. */
export interface EvaluationContext<E extends Example> {
  readonly config: AlbefConfig;
  readonly tokenizer: Tokenizer;
  readonly textLength: number;
  readonly values: Values;
  readonly objective: TaskObjective<E>;
  /** Examples that are taken at a time. */
  readonly batch: number;
  readonly workers: number;
  readonly onError: Shared["onError"];
}

/** The figures of a split. */
export interface Score {
  /** What models are selected by; the larger the better. */
  readonly score: number;
  /** For people. */
  readonly line: string;
  /** For the result. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** What the model says of each example, in the form that official tools take. */
  readonly predictions?: string;
}

/** Measures one model again and again; its programs are made once. */
export interface Evaluator<D> {
  /** How is measured, for the result. */
  readonly protocol: Readonly<Record<string, unknown>>;
  /** Reads what a split cannot be evaluated without: its faults are better known before training. */
  check?(dataset: D): Promise<void>;
  evaluate(params: Parameters, dataset: D): Promise<Score>;
  close(): Promise<void>;
}
