/**
 * What the trainer needs to know of what it trains.
 *
 * @module
 */
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import type { Key } from "../ops/random.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";

/** Numbers, texts and switches that must be the same when a run continues, in nested records. */
export type Settings = { readonly [name: string]: number | string | boolean | null | Settings };

/** A mini-batch on its way to the GPU. */
export interface TrainBatch<B extends Tree> {
  /** Host tensors, always of the same shapes. */
  readonly input: B;
  /** Number of examples. */
  readonly examples: number;
  /** What it holds, for the message when its loss is not finite: "examples 4, 8, 15". */
  readonly label: string;
  /** Epoch it belongs to. */
  readonly epoch: number;
}

/** What a loss function gives. */
export interface LossResult<X extends Tree> {
  /** Scalar. */
  readonly loss: Tensor;
  /** Scalars to be logged. */
  readonly metrics: Readonly<Record<string, Tensor>>;
  /** The state beside the parameters after the step: feature queues, momentum copies. */
  readonly extra: X;
}

/** A model, its loss and its data: everything but the loop. `X` is state that the loss reads and replaces. */
export interface Task<S extends SpecTree, X extends Tree, B extends Tree> {
  /** Shapes and names of the parameters. */
  readonly spec: S;
  /** Compared with a checkpoint's before a run continues. */
  readonly settings?: Settings;
  /** Starting values of a parameter. Default: what its spec says, from the run's seed. */
  initial?(name: string, shape: readonly number[]): Float32Array;
  /** Starting values of the extra state. */
  readonly extra: X;
  /** Traced once. `extra` of the result must have the structure of the argument. */
  loss(params: ParametersOf<S>, extra: X, input: B, key: Key): LossResult<X>;
  /** The next mini-batch, or undefined when the task itself has an end. `params` are for passes without training. */
  next(params: () => Promise<ParametersOf<S>>): Promise<TrainBatch<B> | undefined>;
  /** Called when a step has been given to the GPU. */
  done?(batch: TrainBatch<B>, extra: X): Promise<void>;
  /** Texts (JSON, say) and bytes to be saved with a checkpoint, by name. */
  save?(): Record<string, Uint8Array<ArrayBuffer>>;
  /** Takes them back. */
  restore?(parts: ReadonlyMap<string, Uint8Array>): void;
  /** Ends what `next` has started. */
  close?(): Promise<void>;
}
