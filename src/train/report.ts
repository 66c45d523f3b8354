/**
 * What a run says of itself: losses and metrics of the steps since the last report, read from the GPU with one wait.
 *
 * @module
 */
import { read } from "../program/compile.ts";
import type { Tree } from "../program/tree.ts";
import type { Counters } from "./checkpoint.ts";
import type { TrainState } from "./step.ts";

/** What is reported every `logEvery` steps: means over them. */
export interface Metrics {
  /** Optimizer steps done. */
  readonly step: number;
  /** Epoch of the last mini-batch, from 0. */
  readonly epoch: number;
  /** Examples seen so far. */
  readonly examples: number;
  /** Of the last step. */
  readonly learningRate: number;
  /** Steps and examples per second since the last report. */
  readonly stepsPerSecond: number;
  /** Examples per second since the last report. */
  readonly examplesPerSecond: number;
  /** Bytes of GPU memory in use, and of the process. */
  readonly gpuBytes: number;
  /** Resident memory of the process; 0 in a browser. */
  readonly processBytes: number;
  /** Seconds that the loop waited for mini-batches since the last report: near 0 while the loader is ahead of the GPU. */
  readonly dataSeconds: number;
  /** Means of the loss, the gradient norm and the objective's metrics. */
  readonly [name: string]: number;
}

/** A micro-batch that has been given to the GPU and not been reported. */
export interface Pending {
  /** Number of its step, from 1. */
  readonly step: number;
  readonly label: string;
  readonly epoch: number;
  readonly examples: number;
  readonly rate: number;
}

/** The values of the pending micro-batches. */
export interface Readings {
  /** Means by name: loss, gradientNorm, then the objective's metrics. */
  readonly means: Record<string, number>;
  /** Mean loss of each step, in order. */
  readonly losses: readonly { readonly step: number; readonly loss: number }[];
}

/**
 * Reads what the pending micro-batches came to.
 *
 * @throws {Error} If a loss or a gradient is not finite: which step, and on which mini-batches.
 */
export async function readMetrics(
  state: TrainState<Tree>,
  pending: readonly Pending[],
  names: readonly string[],
): Promise<Readings> {
  const [metrics, norms] = await read([state.metrics, state.norms]), columns = 1 + names.length;
  const steps = [...new Set(pending.map((p) => p.step))];
  const value = (row: number, column: number): number => metrics![row * columns + column]!;
  for (const [i, step] of steps.entries()) {
    const rows = pending.flatMap((p, row) => p.step === step ? [row] : []), norm = norms![i]!;
    const bad = rows.filter((row) => !Number.isFinite(value(row, 0)));
    if (!bad.length && Number.isFinite(norm)) continue;
    const [first] = bad.length ? bad : rows, shown = bad.length ? bad : rows;
    throw new Error(
      `Training stopped at step ${step}: the ${bad.length ? "loss" : "gradient"} is not finite ` +
        `(loss ${value(first!, 0)}, gradient norm ${norm}) on ${
          shown.map((row) => pending[row]!.label).join(" or ")
        }; ` +
        `the parameters are those before this step`,
    );
  }
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const column = (c: number): number => mean(pending.map((_, row) => value(row, c)));
  return {
    means: {
      loss: column(0),
      gradientNorm: mean([...norms!.subarray(0, steps.length)]),
      ...Object.fromEntries(names.map((name, i) => [name, column(i + 1)])),
    },
    losses: steps.map((step) => ({
      step,
      loss: mean(pending.flatMap((p, row) => p.step === step ? [value(row, 0)] : [])),
    })),
  };
}

/** Adds losses to those of the first and of the last tenth of a run of `steps`. */
export function countLosses(counters: Counters, losses: Readings["losses"], steps: number): void {
  const tenth = tenthOf(steps);
  for (const { step, loss } of losses) {
    if (step <= tenth) counters.firstLosses += loss;
    counters.lastLosses.push(loss);
    if (counters.lastLosses.length > tenth) counters.lastLosses.shift();
  }
}

/** Mean losses over the first and the last tenth of the steps (as many steps where the data ended before). */
export function endLosses({ step, firstLosses, lastLosses }: Counters, steps: number): { first: number; last: number } {
  return {
    first: firstLosses / Math.min(step, tenthOf(steps)),
    last: lastLosses.reduce((a, b) => a + b) / lastLosses.length,
  };
}

function tenthOf(steps: number): number {
  return Math.max(1, Math.floor(steps / 10));
}
