/**
 * One training step as two programs: the gradients of a mini-batch, and the update of the parameters. What has to come between them
 * (adding up micro-batches, clipping) is here and nowhere else.
 *
 * @module
 */
import { valueAndGradAux } from "../autograd/grad.ts";
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import {
  type AdamWOptions,
  type AdamWState,
  type AdamWStep,
  clipToNorm,
  flatAdamW,
  globalNorm,
} from "../optim/adamw.ts";
import type { ParameterLayout } from "../optim/layout.ts";
import { isFinite } from "../ops/comparisons.ts";
import { add, multiply } from "../ops/elementwise.ts";
import { randomKey } from "../ops/random.ts";
import { concat, reshape } from "../ops/shape.ts";
import { ringUpdate } from "../ops/ring_update.ts";
import { compile, type Compiled, type CompileOptions } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { placeholder, placeholders } from "../program/program.ts";
import { mapTree, type Tree } from "../program/tree.ts";
import type { LossResult, Objective } from "./task.ts";

/** Everything that a step replaces. Donated: it stays in place on the GPU. */
export type TrainState<X extends Tree> = {
  readonly optimizer: AdamWState;
  /** Parameters that are not trained. */
  readonly frozen: readonly Tensor[];
  /** Gradients of the step, averaged over its micro-batches so far. */
  readonly gradients: readonly Tensor[];
  readonly extra: X;
  /** 1 until a loss or a gradient is not finite; then 0, and no parameter or moment changes any more. */
  readonly healthy: Tensor;
  /** Losses and metrics of the last micro-batches, [rows, metrics]. */
  readonly metrics: Tensor;
  /** Gradient norms of the last steps, [rows, 1]. */
  readonly norms: Tensor;
};

/** What changes from micro-batch to micro-batch. */
export type GradientInput = {
  /** u32 [2]. */
  readonly key: Tensor;
  /** Optimizer steps done before, a scalar. */
  readonly step: Tensor;
  /** Epoch of the mini-batch, a scalar. */
  readonly epoch: Tensor;
  /** 0 for the first micro-batch of a step, else 1: whether the gradients so far count. */
  readonly keep: Tensor;
  /** u32 [1]: the row of the metrics. */
  readonly row: Tensor;
};

/** What changes from update to update. */
export type UpdateInput = {
  readonly adamw: AdamWStep;
  /** u32 [1]: the row of the norms. */
  readonly row: Tensor;
};

/** Switches of a step. */
export interface StepOptions {
  /** Constants of AdamW. */
  readonly adamw?: AdamWOptions;
  /** Largest global norm of the gradients. Default: no clipping, as in the official code. */
  readonly clip?: number;
  /** Mini-batches whose gradients are averaged for one step. @default 1 */
  readonly accumulate?: number;
  /** How the programs are compiled. */
  readonly compile?: CompileOptions;
}

/** The programs of a step. */
export interface Step<X extends Tree, B extends Tree> {
  /** Loss, metrics and gradients of one micro-batch. */
  readonly gradients: Compiled<[TrainState<X>, B, GradientInput], TrainState<X>>;
  /** Clipping and AdamW. */
  readonly update: Compiled<[TrainState<X>, UpdateInput], TrainState<X>>;
}

/** Builds the programs of a step of `objective`. */
export function buildStep<S extends SpecTree, X extends Tree, B extends Tree>(
  objective: Objective<S, X, B>,
  layout: ParameterLayout<S>,
  options: StepOptions = {},
): Step<X, B> {
  const { clip, accumulate = 1 } = options, settings = { ...options.compile, donate: [0] };
  const gradients = compile((state: TrainState<X>, batch: B, input: GradientInput): TrainState<X> => {
    const { result, gradients } = differentiate(objective, layout, state, batch, input);
    const healthy = multiply(state.healthy, isFinite(result.loss));
    const row = [result.loss, ...Object.values(result.metrics ?? {})].map((m) => reshape(m, [1, 1]));
    return {
      ...state,
      gradients: accumulate === 1
        ? gradients
        : gradients.map((g, i) => add(multiply(state.gradients[i]!, input.keep), multiply(g, 1 / accumulate))),
      extra: result.extra ?? state.extra,
      healthy,
      metrics: ringUpdate(state.metrics, concat(row, 1), input.row),
    };
  }, settings) as Step<X, B>["gradients"];
  const update = compile((state: TrainState<X>, input: UpdateInput): TrainState<X> => {
    const norm = globalNorm(state.gradients), healthy = multiply(state.healthy, isFinite(norm));
    const clipped = clip === undefined ? state.gradients : clipToNorm(state.gradients, norm, clip);
    return {
      ...state,
      optimizer: flatAdamW(state.optimizer, clipped, layout.buffers, input.adamw, { ...options.adamw, apply: healthy }),
      healthy,
      norms: ringUpdate(state.norms, reshape(norm, [1, 1]), input.row),
    };
  }, settings) as Step<X, B>["update"];
  return { gradients, update };
}

/** The loss of a mini-batch and the gradients of what is trained, in flat buffers; others are not packed, so never computed. */
function differentiate<S extends SpecTree, X extends Tree, B extends Tree>(
  objective: Objective<S, X, B>,
  layout: ParameterLayout<S>,
  { optimizer, frozen, extra }: TrainState<X>,
  batch: B,
  { key, step, epoch }: GradientInput,
): { result: LossResult<X>; gradients: Tensor[] } {
  type P = ParametersOf<S> & Tree;
  const [, gradients, result] = valueAndGradAux((p: P) => {
    const result = objective.loss(p, extra, batch, { key: randomKey(key), step, epoch });
    return [result.loss, result];
  })(layout.unpack(optimizer.values, frozen) as P);
  return { result, gradients: layout.pack(gradients) };
}

/** What a report says of every run. */
const OWN_METRICS: readonly string[] = [
  "step",
  "epoch",
  "examples",
  "learningRate",
  "loss",
  "gradientNorm",
  "stepsPerSecond",
  "examplesPerSecond",
  "gpuBytes",
  "processBytes",
  "dataSeconds",
];

/** Names of the metrics that an objective's loss gives, in order: found by tracing it once, without the gradients. */
export function metricNames<S extends SpecTree, X extends Tree, B extends Tree>(
  objective: Objective<S, X, B>,
  layout: ParameterLayout<S>,
  extra: X,
): string[] {
  const flats = (of: readonly { size: number }[]): Tensor[] =>
    of.map(({ size }) => placeholder({ shape: [size], dtype: "f32" }));
  const scalar = (): Tensor => placeholder({ shape: [], dtype: "f32" });
  const { metrics = {} } = objective.loss(
    layout.unpack(flats(layout.buffers), flats(layout.frozen)),
    mapTree(extra, (t) => placeholder(t)),
    placeholders(objective.input),
    { key: randomKey(placeholder({ shape: [2], dtype: "u32" })), step: scalar(), epoch: scalar() },
  );
  const taken = Object.keys(metrics).find((name) => OWN_METRICS.includes(name));
  if (taken !== undefined) {
    throw new RangeError(`Cannot log the metric "${taken}": it must have another name than the trainer's own`);
  }
  return Object.keys(metrics);
}
