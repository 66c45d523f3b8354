/**
 * The loop: mini-batches in, steps, metrics, checkpoints. It knows nothing of models.
 *
 * @module
 */
import { stepKey } from "../random/keys.ts";
import { defaultDevice } from "../gpu/device.ts";
import { formatBytes } from "../gpu/errors.ts";
import { initialValues, type ParametersOf, specEntries, type SpecTree } from "../nn/spec.ts";
import { stepInputs } from "../optim/adamw.ts";
import { type LayoutOptions, ParameterLayout } from "../optim/layout.ts";
import { compile, data, tensor, toDevice } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { mapTree, type Tree } from "../program/tree.ts";
import { type Counters, loadCheckpoint, saveCheckpoint, type SavedCheckpoint } from "./checkpoint.ts";
import { profileOnce } from "./profile.ts";
import { formatSeconds, ProgressLine, Rate } from "./progress.ts";
import { claimRunFolder, openMetrics } from "./run_folder.ts";
import { buildStep, COMMON_COLUMNS, type Step, type StepInput, type StepOptions, type TrainState } from "./step.ts";
import type { Settings, Task } from "./task.ts";

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
  /** Resident memory of the process. */
  readonly processBytes: number;
  /** Seconds that the loop waited for mini-batches since the last report: near 0 while the loader is ahead of the GPU. */
  readonly dataSeconds: number;
  /** Means of the loss, the gradient norm and the task's metrics. */
  readonly [name: string]: number;
}

/** Options of {@linkcode train}. */
export interface TrainOptions<S extends SpecTree> extends StepOptions {
  /** Optimizer steps in all, those before a resume included. */
  readonly steps: number;
  /** Learning rate of a step, from 0; `epoch` is that of its mini-batch. */
  readonly learningRate: (step: number, epoch: number) => number;
  /** What the learning rate depends on, for the comparison with a checkpoint. */
  readonly schedule?: Settings;
  /** Decides on dropout and sampled negatives. @default 0 */
  readonly seed?: number;
  /** Which parameters decay and which are bounded. */
  readonly layout?: LayoutOptions;
  /** Folder for checkpoints and metrics; without it nothing is written. */
  readonly dir?: string;
  /** Delete what an earlier run left in `dir`, which is refused otherwise unless it is resumed. @default false */
  readonly overwrite?: boolean;
  /** Steps between checkpoints; there is one at the end in any case. @default 200 */
  readonly checkpointEvery?: number;
  /** Continue from the newest checkpoint of `dir` (true) or of another folder or file. */
  readonly resume?: boolean | string;
  /** Steps between reports; each report waits for the GPU once. @default 20 */
  readonly logEvery?: number;
  /** Called with every report. */
  readonly onMetrics?: (metrics: Metrics) => void | Promise<void>;
  /** Called every `evaluateEvery` steps and at the end. */
  readonly evaluate?: (params: ParametersOf<S>, step: number) => void | Promise<void>;
  /** Steps between evaluations. Default: at the end only. */
  readonly evaluateEvery?: number;
  /** Progress on standard error. @default true */
  readonly progress?: boolean;
  /** Profiles the third step: a table in this path with ".txt" and a trace in it with ".json". */
  readonly profile?: string;
  /** Starting values that replace the task's, by name (see `loadParameters`). */
  readonly initial?: ReadonlyMap<string, Float32Array>;
}

/** What a run has come to. */
export interface TrainResult<S extends SpecTree> {
  /** The trained parameters, on the GPU. */
  readonly params: ParametersOf<S>;
  /** Optimizer steps done, those before a resume included. */
  readonly steps: number;
  /** Seconds of this process's training, without what came before a resume. */
  readonly seconds: number;
  /** Means over the first and the last tenth of the steps (as many steps where the task ended before). */
  readonly loss: { readonly first: number; readonly last: number };
  /** The last checkpoint, if any was written. */
  readonly checkpoint: SavedCheckpoint | null;
}

/**
 * Trains until `steps` optimizer steps are done or the task has no more mini-batches.
 *
 * @throws {Error} If a loss or a gradient is not finite: the message names the mini-batch. Also if a checkpoint cannot be resumed or `dir`
 *   holds those of another run.
 */
export async function train<S extends SpecTree, X extends Tree, B extends Tree>(
  task: Task<S, X, B>,
  metricNames: readonly string[],
  options: TrainOptions<S>,
): Promise<TrainResult<S>> {
  const run = new Run(task, metricNames, options);
  try {
    await run.start();
    return await run.loop();
  } finally {
    await run.close();
  }
}

/** The state of one run. */
class Run<S extends SpecTree, X extends Tree, B extends Tree> {
  readonly #layout: ParameterLayout<S>;
  readonly #line = new ProgressLine();
  readonly #logEvery: number;
  readonly #tenth: number;
  readonly #settings: Settings;
  #state!: TrainState<X>;
  #counters: Counters = { step: 0, examples: 0, firstLosses: 0, lastLosses: [] };
  /** The mini-batches whose metrics have not been read, in the order of the ring's rows, with the number of their step from 1. */
  #pending: { step: number; label: string; epoch: number; examples: number; rate: number }[] = [];
  #clock = performance.now();
  /** Waited for mini-batches since the last report. */
  #dataSeconds = 0;
  #metricsFile: Deno.FsFile | undefined;
  #saved: SavedCheckpoint | null = null;
  #savedStep = -1;
  #programs: Step<X, B> | undefined;

  constructor(
    readonly task: Task<S, X, B>,
    readonly metricNames: readonly string[],
    readonly options: TrainOptions<S>,
  ) {
    checkOptions(options);
    const { steps, accumulate = 1 } = options;
    this.#layout = new ParameterLayout(task.spec, options.layout);
    this.#logEvery = Math.min(options.logEvery ?? 20, steps);
    this.#tenth = Math.max(1, Math.floor(steps / 10));
    this.#settings = {
      task: task.settings ?? {},
      seed: options.seed ?? 0,
      steps,
      accumulate,
      clip: options.clip ?? null,
      adamw: { ...options.adamw },
      schedule: options.schedule ?? {},
    };
  }

  /** Puts starting values or a checkpoint on the GPU. */
  async start(): Promise<void> {
    const { resume, dir, overwrite = false } = this.options;
    const where = resume === true ? dir : resume || undefined;
    if (resume === true && !dir) throw new Error("Cannot resume: no folder is given");
    const saved = where ? await loadCheckpoint(where, this.#layout, this.task.extra, this.#settings) : undefined;
    if (dir) await claimRunFolder(dir, { resumed: saved?.path, overwrite });
    const zeros = (): Float32Array[] => this.#layout.flats.map((f) => new Float32Array(f.size));
    const device = (arrays: readonly Float32Array[]) => arrays.map((a) => tensor(a));
    const accumulates = (this.options.accumulate ?? 1) > 1, columns = COMMON_COLUMNS.length + this.metricNames.length;
    this.#state = await toDevice({
      optimizer: {
        values: device(saved?.values ?? this.#startingValues()),
        first: device(saved?.first ?? zeros()),
        second: device(saved?.second ?? zeros()),
      },
      extra: saved?.extra ?? mapTree(this.task.extra, copyOfHost),
      healthy: tensor(1),
      ring: tensor(new Float32Array(this.#rows * columns), [this.#rows, columns]),
      sums: accumulates ? device(zeros()) : [],
    });
    if (saved) {
      this.#counters = { ...saved.record.counters };
      this.task.restore?.(new Map(Object.entries(saved.record.parts).map(([name, text]) => [name, fromBase64(text)])));
      this.#say(`resumed from ${saved.path} at step ${this.#counters.step}`);
    }
    if (dir) this.#metricsFile = await openMetrics(dir, this.#counters.step);
  }

  /** Values given to the run, else the task's, else as the spec says. */
  #startingValues(): Float32Array[] {
    const { initial, seed = 0 } = this.options;
    const specs = new Map(specEntries(this.task.spec).map(([name, spec], stream) => [name, { spec, stream }]));
    return this.#layout.packHost((name, shape) => {
      const { spec, stream } = specs.get(name)!;
      return initial?.get(name) ?? this.task.initial?.(name, shape) ?? initialValues(spec, seed, stream);
    });
  }

  get #rows(): number {
    return this.#logEvery * (this.options.accumulate ?? 1);
  }

  async loop(): Promise<TrainResult<S>> {
    const { steps, dir, profile, checkpointEvery = 200, evaluate, evaluateEvery = Infinity } = this.options;
    const built = buildStep(this.task, this.#layout, this.metricNames, {
      ...this.options,
      compile: this.#compileOptions(),
    });
    this.#programs = profile ? { ...built, forward: profileOnce(built.forward, profile) } : built;
    const began = performance.now(), rate = new Rate(this.#counters.step);
    while (this.#counters.step < steps && await this.#step(this.#programs)) {
      const { step } = this.#counters, last = step === steps;
      if (step % this.#logEvery === 0 || last || step % checkpointEvery === 0) await this.#report(rate);
      if (dir && step % checkpointEvery === 0) await this.#save();
      if (evaluate && step % evaluateEvery === 0 && !last) await evaluate(await this.#params(), step);
    }
    await this.#report(rate);
    this.#line.end();
    const seconds = (performance.now() - began) / 1000, { step } = this.#counters;
    if (!step) throw new Error("Cannot train: the task gives not one mini-batch for each step");
    if (dir && this.#savedStep !== step) await this.#save();
    const params = await this.#params();
    if (evaluate) await evaluate(params, step);
    return { params, steps: step, seconds, loss: this.#losses(), checkpoint: this.#saved };
  }

  /** One optimizer step; false when the task has no more mini-batches, or not enough for a step. */
  async #step({ forward, apply }: Step<X, B>): Promise<boolean> {
    const { accumulate = 1 } = this.options, step = this.#counters.step + 1;
    for (let micro = 0; micro < accumulate; micro++) {
      const asked = performance.now();
      const batch = await this.task.next(() => this.#params());
      this.#dataSeconds += (performance.now() - asked) / 1000;
      if (!batch) {
        this.#pending = this.#pending.filter((p) => p.step < step);
        return false;
      }
      const { label, epoch, examples } = batch, rate = this.#rate(epoch);
      this.#state = await forward(this.#state, batch.input, this.#input(rate, micro));
      this.#pending.push({ step, label, epoch, examples, rate });
      await this.task.done?.(batch, this.#state.extra);
      if (apply && micro === accumulate - 1) this.#state = await apply(this.#state, this.#input(rate, micro));
    }
    this.#counters.step = step;
    this.#counters.examples += this.#pending.slice(-accumulate).reduce((n, p) => n + p.examples, 0);
    return true;
  }

  #rate(epoch: number): number {
    const { step } = this.#counters, rate = this.options.learningRate(step, epoch);
    if (rate >= 0 && rate < Infinity) return rate;
    throw new RangeError(`Cannot train: "learningRate" must give at least 0 for step ${step}: it gives ${rate}`);
  }

  #input(rate: number, micro: number): StepInput {
    const { step } = this.#counters, scalars = stepInputs(rate, step + 1, this.options.adamw);
    return {
      adamw: {
        rate: tensor(scalars.rate),
        correction1: tensor(scalars.correction1),
        correction2: tensor(scalars.correction2),
      },
      key: tensor(stepKey(this.options.seed ?? 0, step, micro)),
      row: tensor(Uint32Array.of(this.#pending.length)),
    };
  }

  /** Reads the metrics of the steps since the last report. */
  async #report(rate: Rate): Promise<void> {
    const count = this.#pending.length;
    if (!count) return;
    const columns = [...COMMON_COLUMNS, ...this.metricNames];
    const rows = await data(this.#state.ring);
    const row = (i: number): number[] => [...rows.subarray(i * columns.length, (i + 1) * columns.length)];
    this.#pending.forEach(({ step, label }, i) => {
      const [loss, norm] = row(i);
      if (Number.isFinite(loss) && Number.isFinite(norm)) return;
      this.#line.end();
      throw new Error(
        `Training stopped at step ${step}: the ${Number.isFinite(loss) ? "gradient" : "loss"} is not finite ` +
          `(loss ${loss}, gradient norm ${norm}) on ${label}; the parameters are those before this step`,
      );
    });
    const means = columns.map((_, c) => this.#pending.reduce((s, _, i) => s + row(i)[c]!, 0) / count);
    this.#countLosses(this.#pending.map((_, i) => row(i)[0]!));
    await this.#publish(Object.fromEntries(columns.map((name, i) => [name, means[i]!])), rate);
    this.#pending = [];
  }

  /** Losses of mini-batches into the first and the last tenth. */
  #countLosses(losses: readonly number[]): void {
    const { accumulate = 1 } = this.options, { lastLosses } = this.#counters;
    for (let i = 0; i < losses.length; i += accumulate) {
      const loss = losses.slice(i, i + accumulate).reduce((a, b) => a + b) / accumulate;
      if (this.#pending[i]!.step <= this.#tenth) this.#counters.firstLosses += loss;
      lastLosses.push(loss);
      if (lastLosses.length > this.#tenth) lastLosses.shift();
    }
  }

  #losses(): TrainResult<S>["loss"] {
    const { step, firstLosses, lastLosses } = this.#counters;
    return {
      first: firstLosses / Math.min(step, this.#tenth),
      last: lastLosses.reduce((a, b) => a + b) / lastLosses.length,
    };
  }

  async #publish(means: Record<string, number>, rate: Rate): Promise<void> {
    const now = performance.now(), seconds = (now - this.#clock) / 1000, count = this.#pending.length;
    this.#clock = now;
    const { step, examples } = this.#counters, last = this.#pending.at(-1)!;
    const seen = this.#pending.reduce((n, p) => n + p.examples, 0);
    const metrics: Metrics = {
      step,
      epoch: last.epoch,
      examples,
      learningRate: last.rate,
      ...means,
      stepsPerSecond: count / (this.options.accumulate ?? 1) / seconds,
      examplesPerSecond: seen / seconds,
      gpuBytes: (await defaultDevice()).memory.bytes,
      processBytes: Deno.memoryUsage().rss,
      dataSeconds: this.#dataSeconds,
    };
    this.#dataSeconds = 0;
    this.#metricsFile?.writeSync(new TextEncoder().encode(JSON.stringify(metrics) + "\n"));
    const { left } = rate.at(step, this.options.steps);
    const losses = this.metricNames.filter((n) => means[n] !== undefined).map((n) => `${n} ${means[n]!.toFixed(3)}`)
      .join(" ");
    this.#say(
      `epoch ${last.epoch} step ${step}/${this.options.steps} loss ${means.loss!.toFixed(3)} (${losses}) ` +
        `${metrics.examplesPerSecond.toFixed(1)} examples/s, ${formatBytes(metrics.gpuBytes)} GPU, ${
          formatSeconds(left)
        } left`,
    );
    await this.options.onMetrics?.(metrics);
  }

  async #save(): Promise<void> {
    const parts = Object.entries(this.task.save?.() ?? {}).map(([name, bytes]) => [name, toBase64(bytes)]);
    const record = { settings: this.#settings, counters: this.#counters, parts: Object.fromEntries(parts) };
    this.#saved = await saveCheckpoint(this.options.dir!, this.#state, this.#layout, record);
    this.#savedStep = this.#counters.step;
  }

  /** The parameters as tensors of their own, copied, so that they outlive the next step. */
  async #params(): Promise<ParametersOf<S>> {
    const unpack = compile((...flats: Tree[]) => this.#layout.unpack(flats as never) as Tree);
    const params = await unpack(...this.#state.optimizer.values);
    unpack.destroy();
    return params as ParametersOf<S>;
  }

  #compileOptions() {
    let last = 0;
    const progress = (done: number, total: number, kernel: string): void => {
      if (performance.now() - last < 500) return;
      last = performance.now();
      this.#say(`compiling kernels ${done}/${total}: ${kernel}`);
    };
    return { ...this.options.compile, progress: this.options.compile?.progress ?? progress };
  }

  #say(text: string): void {
    if (this.options.progress ?? true) this.#line.show(text);
  }

  async close(): Promise<void> {
    this.#line.end();
    this.#metricsFile?.close();
    this.#programs?.forward.destroy();
    this.#programs?.apply?.destroy();
    await this.task.close?.();
  }
}

function checkOptions(options: Omit<TrainOptions<SpecTree>, "evaluate">): void {
  const { steps, accumulate, checkpointEvery, logEvery, evaluateEvery, clip } = options;
  for (const [name, n] of Object.entries({ steps, accumulate, checkpointEvery, logEvery, evaluateEvery })) {
    if (Number.isInteger(n) && n! >= 1) continue;
    if (n === undefined && name !== "steps" || n === Infinity && name === "evaluateEvery") continue;
    throw new RangeError(`Cannot train: "${name}" must be a whole number of at least 1: it is ${n}`);
  }
  if (clip !== undefined && !(clip > 0)) throw new RangeError(`Cannot train: "clip" must be above 0: it is ${clip}`);
}

/** A tensor whose memory can be donated without taking it from the task. */
function copyOfHost(t: Tensor): Tensor {
  return t.node.host ? tensor(t.node.host, t.shape, t.dtype) : t;
}

/** Number of parameters and where they are, for people. */
export function describeLayout<S extends SpecTree>(spec: S, options?: LayoutOptions): string {
  const { decayed, notDecayed } = new ParameterLayout(spec, options).decayGroups();
  return `${specEntries(spec).length} parameters; weight decay on ${decayed.length}: ${
    decayed.join(", ")
  }; none on ${notDecayed.length}: ${notDecayed.join(", ")}`;
}

function toBase64(bytes: Uint8Array<ArrayBuffer>): string {
  return (bytes as Uint8Array<ArrayBuffer> & { toBase64(): string }).toBase64();
}

function fromBase64(text: string): Uint8Array {
  return (Uint8Array as unknown as { fromBase64(text: string): Uint8Array }).fromBase64(text);
}
