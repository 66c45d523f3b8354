/**
 * How much GPU memory a run will take, before it takes any.
 *
 * @module
 */
import { formatBytes } from "../gpu/errors.ts";
import type { SpecTree } from "../nn/spec.ts";
import { type LayoutOptions, ParameterLayout } from "../optim/layout.ts";
import { type Aval, byteLength, type Tensor } from "../program/graph.ts";
import { placeholder, type Program } from "../program/program.ts";
import { leaves, mapTree, type Tree } from "../program/tree.ts";
import { buildStep, COMMON_COLUMNS, type StepInput, type StepOptions, type TrainState } from "./step.ts";
import type { Task } from "./task.ts";

/** Bytes of GPU memory by what they are for. */
export interface MemoryEstimate {
  readonly parameters: number;
  /** AdamW's two moments. */
  readonly optimizer: number;
  /** Gradients summed over micro-batches; without accumulation they are among the intermediates. */
  readonly sums: number;
  /** What the loss keeps from step to step: feature queues, momentum copies. */
  readonly extra: number;
  /** One mini-batch. */
  readonly batch: number;
  /** Activations and gradients, sharing memory where their lifetimes do not meet. */
  readonly intermediates: number;
  /** The ring of metrics, the step's scalars, sizes and constants of the kernels. */
  readonly other: number;
  readonly total: number;
}

/** Options of {@linkcode estimateMemory}: those of the run. */
export interface EstimateOptions extends StepOptions {
  readonly layout?: LayoutOptions;
  readonly logEvery?: number;
}

/** Of a task, what decides on memory. Values are not looked at, so all tensors may be placeholders. */
export type MemoryTask<S extends SpecTree, X extends Tree, B extends Tree> = Pick<
  Task<S, X, B>,
  "spec" | "loss" | "extra"
>;

/**
 * The memory of training `task` on mini-batches of the shapes of `input`: the step is traced and planned as it will run, but
 * nothing is allocated. Not counted: grouping, evaluation, and what the driver needs itself.
 */
export async function estimateMemory<S extends SpecTree, X extends Tree, B extends Tree>(
  task: MemoryTask<S, X, B>,
  input: B,
  metrics: readonly string[],
  options: EstimateOptions = {},
): Promise<MemoryEstimate> {
  const layout = new ParameterLayout(task.spec, options.layout), { accumulate = 1, logEvery = 20 } = options;
  const flats = (): Tensor[] => layout.flats.map(({ size }) => placeholder({ shape: [size], dtype: "f32" }));
  const state: TrainState<X> = {
    optimizer: { values: flats(), first: flats(), second: flats() },
    extra: mapTree(task.extra, (t: Aval) => placeholder(t)),
    healthy: scalar(),
    ring: placeholder({ shape: [logEvery * accumulate, COMMON_COLUMNS.length + metrics.length], dtype: "f32" }),
    sums: accumulate > 1 ? flats() : [],
  };
  const { forward, apply } = buildStep(task as Task<S, X, B>, layout, metrics, options);
  const programs = [await forward.program(state, input, stepInput())];
  if (apply) programs.push(await apply.program(state, stepInput()));
  return summed({
    parameters: bytesOf(state.optimizer.values),
    optimizer: bytesOf([state.optimizer.first, state.optimizer.second]),
    sums: bytesOf(state.sums),
    extra: bytesOf(state.extra),
    batch: bytesOf(input),
    intermediates: total(programs, (p) => p.arenaBytes),
    other: bytesOf([state.healthy, state.ring]) + total(programs, (p) => p.constantBytes + bytesOf(stepInput())),
  });
}

function scalar(): Tensor {
  return placeholder({ shape: [], dtype: "f32" });
}

function stepInput(): StepInput {
  return {
    adamw: { rate: scalar(), correction1: scalar(), correction2: scalar() },
    key: placeholder({ shape: [2], dtype: "u32" }),
    row: placeholder({ shape: [1], dtype: "u32" }),
  };
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
  /** @default 1 */
  readonly least?: number;
  /** @default 65536 */
  readonly most?: number;
}

/**
 * The largest mini-batch whose memory is at most `limit`, 0 if not even the least fits. `bytes` must grow with the batch; as
 * it does so almost linearly, a handful of estimates is enough.
 */
export async function largestBatch(
  limit: number,
  bytes: (batch: number) => Promise<number>,
  { least = 1, most = 65536 }: BatchRange = {},
): Promise<number> {
  let low = { batch: least, bytes: await bytes(least) }, high = most + 1;
  if (low.bytes > limit) return 0;
  let slope = low.bytes / least;
  while (high - low.batch > 1) {
    const guess = low.batch + Math.floor((limit - low.bytes) / slope);
    const batch = Math.min(Math.max(guess, low.batch + 1), high - 1);
    const needed = await bytes(batch);
    slope = Math.max(1, (needed - low.bytes) / (batch - low.batch));
    if (needed > limit) high = batch;
    else low = { batch, bytes: needed };
  }
  return low.batch;
}
