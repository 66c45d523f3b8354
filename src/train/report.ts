/**
 * What a run says of itself: losses and metrics of the steps since the last report, read from the GPU with one wait.
 *
 * @module
 */
import { defaultDevice } from "../gpu/device.ts";
import { formatBytes } from "../gpu/errors.ts";
import type { LineFile } from "../io/files.ts";
import { processBytes } from "../io/terminal.ts";
import { toHost } from "../program/compile.ts";
import type { Tree } from "../program/tree.ts";
import { type Counters, tenthOf } from "./checkpoint.ts";
import { formatSeconds, Rate } from "./progress.ts";
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
  /** Steps and examples per second since the last report, without the first step of a process, which compiles the kernels. */
  readonly stepsPerSecond: number;
  /** Likewise. */
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
  const [metrics, norms] = await toHost([state.metrics, state.norms]), columns = 1 + names.length;
  const steps = [...new Set(pending.map((p) => p.step))];
  const value = (row: number, column: number): number => metrics![row * columns + column]!;
  for (const [i, step] of steps.entries()) {
    const rows = pending.flatMap((p, row) => p.step === step ? [row] : []), norm = norms![i]!;
    const bad = rows.filter((row) => !Number.isFinite(value(row, 0)));
    if (!bad.length && Number.isFinite(norm)) continue;
    const [which, shown, between] = bad.length ? ["loss", bad, " and "] : ["gradient", rows, " or "];
    throw new Error(
      `Training stopped at step ${step}: the ${which} is not finite ` +
        `(loss ${value(shown[0]!, 0)}, gradient norm ${norm}) on ${
          shown.map((row) => pending[row]!.label).join(between)
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
    if (step <= tenth && step === counters.firstSteps + 1) { // a run that is extended later keeps the first ones that it had
      counters.firstLosses += loss;
      counters.firstSteps = step;
    }
    counters.lastLosses.push(loss);
    while (counters.lastLosses.length > tenth) counters.lastLosses.shift();
  }
}

/** Mean losses over the first and the last tenth of the steps (as many steps where the data ended before). */
export function endLosses({ firstSteps, firstLosses, lastLosses }: Counters): { first: number; last: number } {
  return { first: firstLosses / firstSteps, last: lastLosses.reduce((a, b) => a + b) / lastLosses.length };
}

/** Where reports go. */
export interface ReporterOptions {
  /** Optimizer steps in all, and micro-batches of each. */
  readonly steps: number;
  readonly accumulate: number;
  /** Names of the objective's metrics. */
  readonly names: readonly string[];
  readonly file: LineFile | undefined;
  readonly say: (line: string) => void;
  readonly onMetrics: ((metrics: Metrics) => void | Promise<void>) | undefined;
}

/** Keeps what has been given to the GPU and not been reported, and reports it. */
export class Reporter {
  #pending: Pending[] = [];
  #clock: number = performance.now();
  /** Seconds waited for mini-batches since the last report. */
  #waited = 0;
  #rate: Rate;
  /** Micro-batches of the first step, and when it ended: it compiles the kernels, so rates leave it out. */
  #first: { count: number; ended: number } | undefined;

  /** The run has done `first` steps before. */
  constructor(readonly options: ReporterOptions, first: number) {
    this.#rate = new Rate(first);
  }

  /** The first step of this process has been given to the GPU, and its kernels are compiled: rates begin here. */
  compiled(step: number): void {
    this.#rate = new Rate(step);
    this.#first = { count: this.#pending.length, ended: performance.now() };
  }

  /** Micro-batches that have not been reported: the next one's row in the ring of metrics. */
  get count(): number {
    return this.#pending.length;
  }

  /** A micro-batch has been given to the GPU. */
  add(pending: Pending): void {
    this.#pending.push(pending);
  }

  /** The loop has waited for data. */
  waited(seconds: number): void {
    this.#waited += seconds;
  }

  /** Forgets the micro-batches of a step that came to nothing since the data ended in it. */
  drop(step: number): void {
    this.#pending = this.#pending.filter((p) => p.step < step);
  }

  /** Examples of the last step. */
  lastExamples(): number {
    return this.#pending.slice(-this.options.accumulate).reduce((n, p) => n + p.examples, 0);
  }

  /** Reads, counts, writes and tells what there is; waits for the GPU once. @throws {Error} see {@linkcode readMetrics}. */
  async report(state: TrainState<Tree>, counters: Counters): Promise<void> {
    if (!this.#pending.length) return;
    const { names, steps, file, say, onMetrics } = this.options;
    const { means, losses } = await readMetrics(state, this.#pending, names);
    countLosses(counters, losses, steps);
    const metrics = await this.#metrics(means, counters);
    this.#pending = [];
    file?.write(JSON.stringify(metrics));
    const terms = names.map((n) => `${n} ${means[n]!.toFixed(3)}`).join(" ");
    const left = formatSeconds(this.#rate.at(counters.step, steps).left);
    say(
      `epoch ${metrics.epoch} step ${counters.step}/${steps} loss ${means.loss!.toFixed(3)}${terms && ` (${terms})`} ` +
        `${metrics.examplesPerSecond.toFixed(1)} examples/s, ${formatBytes(metrics.gpuBytes)} GPU, ${left} left`,
    );
    await onMetrics?.(metrics);
  }

  async #metrics(means: Readonly<Record<string, number>>, { step, examples }: Counters): Promise<Metrics> {
    const now = performance.now(), last = this.#pending.at(-1)!, dataSeconds = this.#waited;
    const { count, ended } = this.#first ?? { count: 0, ended: this.#clock }, alone = this.#pending.length === count;
    const timed = alone ? this.#pending : this.#pending.slice(count);
    const seconds = (now - (alone ? this.#clock : ended)) / 1000, seen = timed.reduce((n, p) => n + p.examples, 0);
    this.#first = undefined;
    this.#clock = now;
    this.#waited = 0;
    return {
      step,
      epoch: last.epoch,
      examples,
      learningRate: last.rate,
      ...means,
      stepsPerSecond: timed.length / this.options.accumulate / seconds,
      examplesPerSecond: seen / seconds,
      gpuBytes: (await defaultDevice()).memory.bytes,
      processBytes: processBytes(),
      dataSeconds,
    };
  }
}
