/**
 * What the trainer needs to know of what it trains.
 *
 * @module
 */
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import type { ParameterRules } from "../optim/layout.ts";
import type { Key } from "../ops/random.ts";
import type { Tensor } from "../program/graph.ts";
import type { Avals, Tree } from "../program/tree.ts";

/** Numbers, texts and switches that must be the same when a run continues, in nested records. */
export type Settings = { readonly [name: string]: Setting };
/** A value of {@linkcode Settings}. */
export type Setting = number | string | boolean | null | readonly Setting[] | Settings;

/** Nothing kept from step to step. */
export type NoExtra = Record<string, never>;

/** What a loss knows of the step that it belongs to. */
export interface StepContext {
  /** The step's randomness: dropout, drawn negatives. */
  readonly key: Key;
  /** f32 scalar: optimizer steps done before, for weights that change while training. */
  readonly step: Tensor;
  /** f32 scalar: the mini-batch's epoch, from 0. */
  readonly epoch: Tensor;
}

/** What a loss function gives. */
export interface LossResult<X extends Tree> {
  /** Scalar. */
  readonly loss: Tensor;
  /** Scalars to be logged, always the same names. */
  readonly metrics?: Readonly<Record<string, Tensor>>;
  /** The state beside the parameters after the step; absent where it stays as it is. */
  readonly extra?: X;
}

/**
 * What is learned: parameters `S`, a loss of mini-batches `B`, and the state `X` that the loss keeps from step to step (a momentum
 * encoder, feature queues). Everything that decides on the memory and the program of a step; no data.
 */
export interface Objective<S extends SpecTree, X extends Tree, B extends Tree> extends ParameterRules {
  /** Shapes and names of the parameters, and how they start. */
  readonly spec: S;
  /** Shapes and types of a mini-batch. */
  readonly input: Avals<B>;
  /** Further shapes that mini-batches may have, for instance of smaller images: each has a program of its own, compiled at the start. */
  readonly inputs?: readonly Avals<B>[];
  /** The state's starting values, from those of the parameters. Default: there is no state. */
  extra?(params: ParametersOf<S>): X;
  /** Traced once. `extra` of the result must have the structure of the argument. */
  loss(params: ParametersOf<S>, extra: X, input: B, context: StepContext): LossResult<X>;
}

/** A mini-batch on its way to the GPU. */
export interface TrainBatch<B extends Tree> {
  /** Host tensors of the shapes that the objective states. */
  readonly input: B;
  /** Number of examples. */
  readonly examples: number;
  /** What it holds, for the message when its loss is not finite: "examples 4, 8, 15". */
  readonly label: string;
  /** Epoch it belongs to. */
  readonly epoch: number;
}

/** Where a run is when it asks for a mini-batch. */
export interface Position<S extends SpecTree> {
  /** Optimizer steps done. */
  readonly step: number;
  /** The parameters now, for passes without training; they cost a copy. */
  params(): Promise<ParametersOf<S>>;
}

/** Mini-batches in the order of training, with what a checkpoint must keep of it. */
export interface DataStream<S extends SpecTree, X extends Tree, B extends Tree> {
  /** The next mini-batch, or undefined when the data itself has an end. */
  next(at: Position<S>): Promise<TrainBatch<B> | undefined>;
  /** Called when a mini-batch has been given to the GPU. */
  done?(batch: TrainBatch<B>, extra: X): Promise<void>;
  /** Bytes to be saved with a checkpoint, by name. */
  save?(): Record<string, Uint8Array<ArrayBuffer>>;
  /** Takes them back; also in a run that is under way, which goes back to an earlier step. */
  restore?(parts: ReadonlyMap<string, Uint8Array>): void;
  /** Ends what `next` has started. */
  close?(): Promise<void>;
}

/** An objective with its data: everything but the loop. */
export interface Task<S extends SpecTree, X extends Tree, B extends Tree> extends Objective<S, X, B> {
  /** Gives the mini-batches. */
  readonly data: DataStream<S, X, B>;
  /** Compared with a checkpoint's before a run continues. */
  readonly settings?: Settings;
  /** Figures by name, measured while training and at the end. */
  evaluate?(params: ParametersOf<S>, step: number): Promise<Readonly<Record<string, number>>>;
}
