/**
 * One training step as one program: loss, gradients, clipping, AdamW, metrics.
 *
 * @module
 */
import { valueAndGradAux } from "../autograd/grad.ts";
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import {
  adamw,
  type AdamWOptions,
  type AdamWState,
  type AdamWStep,
  clipByGlobalNorm,
  globalNorm,
} from "../optim/adamw.ts";
import type { ParameterLayout } from "../optim/layout.ts";
import { add, isFinite, multiply } from "../ops/elementwise.ts";
import { randomKey } from "../ops/random.ts";
import { concat, reshape } from "../ops/shape.ts";
import { updateRows } from "../ops/update_rows.ts";
import { compile, type Compiled, type CompileOptions } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import type { LossResult, Task } from "./task.ts";

/** Everything that a step replaces. Donated: it stays in place on the GPU. */
export type TrainState<X extends Tree> = {
  readonly optimizer: AdamWState;
  readonly extra: X;
  /** 1 until a loss or a gradient is not finite; then 0, and no parameter or moment changes any more. */
  readonly healthy: Tensor;
  /** The last rows of metrics, [rows, metrics]. */
  readonly ring: Tensor;
  /** Sums of gradients over the micro-batches of a step; empty without accumulation. */
  readonly sums: readonly Tensor[];
};

/** What changes from step to step. */
export type StepInput = {
  readonly adamw: AdamWStep;
  /** u32 [2]. */
  readonly key: Tensor;
  /** u32 [1]: the row of the ring. */
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
  /** How the step is compiled. */
  readonly compile?: CompileOptions;
}

/** The programs of a step and the names of the metrics, in the order of the ring's columns. */
export interface Step<X extends Tree, B extends Tree> {
  /** A whole step on one mini-batch, or with accumulation the gradients of one micro-batch. */
  readonly forward: Compiled<[TrainState<X>, B, StepInput], TrainState<X>>;
  /** With accumulation: the optimizer's part. */
  readonly apply: Compiled<[TrainState<X>, StepInput], TrainState<X>> | undefined;
  /** Known once the step has been traced. */
  readonly columns: readonly string[];
}

/** Columns that every task has, before its own. */
export const COMMON_COLUMNS: readonly string[] = ["loss", "gradientNorm"];

/** Builds the programs of a step. `metrics` are the names that the task's loss gives, in order. */
export function buildStep<S extends SpecTree, X extends Tree, B extends Tree>(
  task: Task<S, X, B>,
  layout: ParameterLayout<S>,
  metrics: readonly string[],
  options: StepOptions = {},
): Step<X, B> {
  const { clip, accumulate = 1 } = options;
  const settings = { ...options.compile, donate: [0] };
  const update = (
    state: TrainState<X>,
    gradients: readonly Tensor[],
    norm: Tensor,
    input: StepInput,
    healthy: Tensor,
  ): AdamWState => {
    const clipped = clip === undefined ? gradients : clipByGlobalNorm(gradients, norm, clip);
    return adamw(state.optimizer, clipped, layout.flats, input.adamw, { ...options.adamw, apply: healthy });
  };
  const forward = compile((state: TrainState<X>, batch: B, input: StepInput) => {
    const params = layout.unpack(state.optimizer.values);
    const [loss, tree, result] = valueAndGradAux((p: ParametersOf<S> & Tree) => {
      const result = task.loss(p, state.extra, batch, randomKey(input.key));
      return [result.loss, result];
    })(params as ParametersOf<S> & Tree);
    const gradients = layout.pack(tree), norm = globalNorm(gradients);
    const healthy = multiply(state.healthy, multiply(isFinite(loss), isFinite(norm)));
    const row = concat([loss, norm, ...metrics.map((name) => metric(result, name))].map((m) => reshape(m, [1, 1])), 1);
    const ring = updateRows(state.ring, row, input.row);
    if (accumulate === 1) {
      return {
        optimizer: update(state, gradients, norm, input, healthy),
        extra: result.extra,
        healthy,
        ring,
        sums: [],
      };
    }
    const sums = state.sums.map((sum, i) => add(sum, multiply(gradients[i]!, 1 / accumulate)));
    return { ...state, extra: result.extra, healthy, ring, sums };
  }, settings) as Step<X, B>["forward"];
  const apply = accumulate === 1 ? undefined : compile((state: TrainState<X>, input: StepInput) => {
    const norm = globalNorm(state.sums), healthy = multiply(state.healthy, isFinite(norm));
    return {
      ...state,
      optimizer: update(state, state.sums, norm, input, healthy),
      healthy,
      sums: state.sums.map((s) => multiply(s, 0)),
    };
  }, settings) as Step<X, B>["apply"];
  return { forward, apply, columns: [...COMMON_COLUMNS, ...metrics] };
}

function metric(result: LossResult<Tree>, name: string): Tensor {
  const value = result.metrics[name];
  if (value) return value;
  const given = Object.keys(result.metrics).join(", ") || "none";
  throw new RangeError(`Cannot log the metric "${name}": the task's loss gives ${given}`);
}
