/**
 * How much GPU memory a run will take, before it takes any.
 *
 * @module
 */
import { formatBytes } from "../gpu/errors.ts";
import { mapSpecs, type SpecTree } from "../nn/spec.ts";
import { ParameterLayout } from "../optim/layout.ts";
import { byteLength, type Tensor } from "../program/graph.ts";
import { placeholder, placeholders, type Program } from "../program/program.ts";
import { leaves, mapTree, type Tree } from "../program/tree.ts";
import {
  buildStep,
  type GradientInput,
  metricNames,
  type StepOptions,
  type TrainState,
  type UpdateInput,
} from "./step.ts";
import type { Objective } from "./task.ts";

/** Bytes of GPU memory by what they are for. */
export interface MemoryEstimate {
  /** Parameters, trained and frozen. */
  readonly parameters: number;
  /** AdamW's two moments. */
  readonly optimizer: number;
  /** Gradients of all parameters, between the two programs of a step. */
  readonly gradients: number;
  /** What the loss keeps from step to step: feature queues, momentum encoders. */
  readonly extra: number;
  /** One mini-batch. */
  readonly batch: number;
  /** Activations and their gradients, sharing memory where their lifetimes do not meet. */
  readonly intermediates: number;
  /** Metrics, the step's scalars, sizes and constants of the kernels. */
  readonly other: number;
  /** All together. */
  readonly total: number;
}

/** Options of {@linkcode estimateStep}: those of the run. */
export interface EstimateOptions extends StepOptions {
  /** Steps between reports. @default 20 */
  readonly logEvery?: number;
}

/** What a step of training takes. */
export interface StepEstimate {
  /** Bytes of GPU memory. */
  readonly memory: MemoryEstimate;
  /**
   * Floating-point operations that its kernels count: matrix products, attention, what is element by element. What is computed again in
   * the backward pass counts again.
   */
  readonly flop: number;
  /**
   * How many kernels it runs, and how many of them have texts of their own: those are what a first run compiles. Sizes and strides are
   * data of a kernel, so that layers share it; what differs in layout, tile or fused ops does not.
   */
  readonly kernels: { readonly runs: number; readonly distinct: number };
}

/**
 * What a step of training `objective` takes: it is traced and planned as it will run, but nothing is allocated. Not counted: grouping,
 * evaluation, and what the driver needs itself.
 *
 * @throws {RangeError} If an op cannot run at these sizes on this adapter.
 */
export async function estimateStep<S extends SpecTree, X extends Tree, B extends Tree>(
  objective: Objective<S, X, B>,
  options: EstimateOptions = {},
): Promise<StepEstimate> {
  const { state, input, programs } = await planStep(objective, options),
    steps = programs.flatMap(({ plan }) => plan.steps);
  const memory = summed({
    parameters: bytesOf([state.optimizer.values, state.frozen]),
    optimizer: bytesOf([state.optimizer.mu, state.optimizer.nu]),
    gradients: bytesOf(state.gradients),
    extra: bytesOf(state.extra),
    batch: bytesOf(input),
    intermediates: total(programs, (p) => p.arenaBytes),
    other: bytesOf([state.healthy, state.metrics, state.norms, gradientInput(), updateInput()]) +
      total(programs, (p) => p.constantBytes),
  });
  return {
    memory,
    flop: steps.reduce((n, { flop = 0 }) => n + flop, 0),
    kernels: { runs: steps.length, distinct: new Set(steps.map(({ code }) => code)).size },
  };
}

/** The memory alone of {@linkcode estimateStep}. */
export async function estimateMemory<S extends SpecTree, X extends Tree, B extends Tree>(
  objective: Objective<S, X, B>,
  options: EstimateOptions = {},
): Promise<MemoryEstimate> {
  return (await estimateStep(objective, options)).memory;
}

/** A step that is planned and takes no memory. */
export interface PlannedStep<X extends Tree, B extends Tree> {
  /** Shapes of its state. */
  readonly state: TrainState<X>;
  /** Shapes of a mini-batch. */
  readonly input: B;
  /** The programs of the gradients and of the update. */
  readonly programs: readonly [Program, Program];
}

/** Traces and plans a step of `objective` as it will run, but allocates nothing. */
export async function planStep<S extends SpecTree, X extends Tree, B extends Tree>(
  objective: Objective<S, X, B>,
  options: EstimateOptions = {},
): Promise<PlannedStep<X, B>> {
  const layout = new ParameterLayout(objective.spec, objective), { accumulate = 1, logEvery = 20 } = options;
  const extra = placeholderExtra(objective), columns = 1 + metricNames(objective, layout, extra).length;
  const state = placeholderState(layout, extra, logEvery * accumulate, columns, logEvery);
  const input = placeholders(objective.input), { gradients, update } = buildStep(objective, layout, options);
  const first = await gradients.program(state, input, gradientInput());
  return { state, input, programs: [first, await update.program(state, updateInput())] };
}

/** The state that a loss keeps, of parameters without values. */
function placeholderExtra<S extends SpecTree, X extends Tree, B extends Tree>(objective: Objective<S, X, B>): X {
  const params = mapSpecs(objective.spec, ({ shape }) => placeholder({ shape, dtype: "f32" }));
  return mapTree(objective.extra?.(params) ?? {} as X, (t) => placeholder(t));
}

function placeholderState<S extends SpecTree, X extends Tree>(
  layout: ParameterLayout<S>,
  extra: X,
  rows: number,
  columns: number,
  steps: number,
): TrainState<X> {
  const flats = (of = layout.buffers): Tensor[] => of.map(({ size }) => placeholder({ shape: [size], dtype: "f32" }));
  return {
    optimizer: { values: flats(), mu: flats(), nu: flats() },
    frozen: flats(layout.frozen),
    gradients: flats(),
    extra,
    healthy: scalar(),
    metrics: placeholder({ shape: [rows, columns], dtype: "f32" }),
    norms: placeholder({ shape: [steps, 1], dtype: "f32" }),
  };
}

function scalar(): Tensor {
  return placeholder({ shape: [], dtype: "f32" });
}

function words(count: number): Tensor {
  return placeholder({ shape: [count], dtype: "u32" });
}

function gradientInput(): GradientInput {
  return { key: words(2), step: scalar(), epoch: scalar(), keep: scalar(), row: words(1) };
}

function updateInput(): UpdateInput {
  return { adamw: { rate: scalar(), correction1: scalar(), correction2: scalar() }, row: words(1) };
}

function bytesOf(tree: Tree): number {
  return leaves(tree).reduce((n, t) => n + byteLength(t), 0);
}

function total(programs: readonly Program[], bytes: (p: Program) => number): number {
  return programs.reduce((n, p) => n + bytes(p), 0);
}

function summed(parts: Omit<MemoryEstimate, "total">): MemoryEstimate {
  return { ...parts, total: Object.values(parts).reduce((a, b) => a + b, 0) };
}

/** An estimate for people, one line a part. */
export function describeMemory(estimate: MemoryEstimate): string {
  return Object.entries(estimate).filter(([name, bytes]) => bytes > 0 || name === "total")
    .map(([name, bytes]) => `${name.padEnd(14)}${formatBytes(bytes).padStart(10)}\n`).join("");
}

/** The mini-batches that {@linkcode largestBatch} looks at. */
export interface BatchRange {
  /** The least. @default 1 */
  readonly least?: number;
  /** The largest. @default 65536 */
  readonly most?: number;
}

/**
 * The largest mini-batch whose memory is at most `limit`, 0 if not even the least fits. `bytes` must grow with the batch; as
 * it does so almost linearly, a handful of estimates is enough. A batch that an op refuses does not fit.
 */
export async function largestBatch(
  limit: number,
  bytes: (batch: number) => Promise<number>,
  { least = 1, most = 65536 }: BatchRange = {},
): Promise<number> {
  let low = { batch: least, bytes: await bytesOrInfinite(bytes, least) }, high = most + 1;
  if (low.bytes > limit) return 0;
  let slope = low.bytes / least;
  while (high - low.batch > 1) {
    const guess = low.batch + Math.floor((limit - low.bytes) / slope);
    const batch = Math.min(Math.max(guess, low.batch + 1), high - 1);
    const needed = await bytesOrInfinite(bytes, batch);
    if (needed === Infinity) {
      high = batch;
      slope = Math.max(1, 2 * (limit - low.bytes) / (high - low.batch)); // the next guess is the middle
      continue;
    }
    slope = Math.max(1, (needed - low.bytes) / (batch - low.batch));
    if (needed > limit) high = batch;
    else low = { batch, bytes: needed };
  }
  return low.batch;
}

async function bytesOrInfinite(bytes: (batch: number) => Promise<number>, batch: number): Promise<number> {
  try {
    return await bytes(batch);
  } catch (error) {
    if (error instanceof RangeError) return Infinity; // an op refuses such sizes, here or on this adapter
    throw error;
  }
}
