/**
 * The loop: mini-batches in, steps, metrics, checkpoints. It knows nothing of models.
 *
 * @module
 */
import { philox } from "../data/random.ts";
import { defaultDevice } from "../gpu/device.ts";
import { formatBytes } from "../gpu/errors.ts";
import { type ParametersOf, specEntries, type SpecTree } from "../nn/spec.ts";
import { stepInputs } from "../optim/adamw.ts";
import { type LayoutOptions, ParameterLayout } from "../optim/layout.ts";
import { compile, data, tensor, toDevice } from "../program/compile.ts";
import type { Tree } from "../program/tree.ts";
import { type Counters, loadCheckpoint, saveCheckpoint, type SavedCheckpoint } from "./checkpoint.ts";
import { profileOnce } from "./profile.ts";
import { formatSeconds, ProgressLine, Rate } from "./progress.ts";
import { buildStep, COMMON_COLUMNS, type StepInput, type StepOptions, type TrainState } from "./step.ts";
import type { Settings, Task, TrainBatch } from "./task.ts";

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
  /** Means over the first and the last tenth of the steps. */
  readonly loss: { readonly first: number; readonly last: number };
  /** The last checkpoint, if any was written. */
  readonly checkpoint: SavedCheckpoint | null;
}

/** Trains until `steps` optimizer steps are done. */
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
  #counters: Counters = { step: 0, examples: 0, firstLosses: 0, lastLosses: 0 };
  /** Labels of the mini-batches whose metrics have not been read. */
  #pending: { label: string; epoch: number; examples: number; rate: number }[] = [];
  #clock = performance.now();
  #metricsFile: Deno.FsFile | undefined;
  #saved: SavedCheckpoint | null = null;

  constructor(
    readonly task: Task<S, X, B>,
    readonly metricNames: readonly string[],
    readonly options: TrainOptions<S>,
  ) {
    const { steps, accumulate = 1 } = options;
    if (!Number.isInteger(steps) || steps < 1) {
      throw new RangeError(`Cannot train: "steps" must be a whole number of at least 1: it is ${steps}`);
    }
    this.#layout = new ParameterLayout(task.spec, options.layout);
    this.#logEvery = Math.min(options.logEvery ?? 20, steps);
    this.#tenth = Math.max(1, Math.floor(steps / 10));
    this.#settings = {
      task: task.settings,
      seed: options.seed ?? 0,
      steps,
      accumulate,
      clip: options.clip ?? null,
      schedule: options.schedule ?? {},
    };
  }

  /** Puts starting values or a checkpoint on the GPU. */
  async start(): Promise<void> {
    const { resume, dir, initial } = this.options;
    const where = resume === true ? dir : resume || undefined;
    if (resume === true && !dir) throw new Error("Cannot resume: no folder is given");
    const saved = where ? await loadCheckpoint(where, this.#layout, this.task.extra, this.#settings) : undefined;
    const values = saved?.values ??
      this.#layout.packHost((name, shape) => initial?.get(name) ?? this.task.initial(name, shape));
    const zeros = (): Float32Array[] => this.#layout.flats.map((f) => new Float32Array(f.size));
    const device = (arrays: readonly Float32Array[]) => arrays.map((a) => tensor(a));
    const accumulates = (this.options.accumulate ?? 1) > 1, columns = COMMON_COLUMNS.length + this.metricNames.length;
    this.#state = await toDevice({
      optimizer: {
        values: device(values),
        first: device(saved?.first ?? zeros()),
        second: device(saved?.second ?? zeros()),
      },
      extra: saved?.extra ?? this.task.extra,
      healthy: tensor(1),
      ring: tensor(new Float32Array(this.#rows * columns), [this.#rows, columns]),
      sums: accumulates ? device(zeros()) : [],
    });
    if (saved) {
      this.#counters = { ...saved.record.counters };
      this.task.restore?.(new Map(Object.entries(saved.record.parts).map(([name, text]) => [name, fromBase64(text)])));
      this.#say(`resumed from ${saved.path} at step ${this.#counters.step}`);
    }
    if (dir) {
      await Deno.mkdir(dir, { recursive: true });
      this.#metricsFile = await Deno.open(`${dir}/metrics.jsonl`, { write: true, create: true, append: true });
    }
  }

  get #rows(): number {
    return this.#logEvery * (this.options.accumulate ?? 1);
  }

  async loop(): Promise<TrainResult<S>> {
    const { steps, checkpointEvery = 200, evaluate, evaluateEvery = Infinity } = this.options;
    const built = buildStep(this.task, this.#layout, this.metricNames, {
      ...this.options,
      compile: this.#compileOptions(),
    });
    const { profile } = this.options;
    const programs = profile ? { ...built, forward: profileOnce(built.forward, profile) } : built;
    const began = performance.now(), rate = new Rate(this.#counters.step);
    let ended = false;
    while (this.#counters.step < steps && !ended) {
      ended = !await this.#step(programs);
      if (ended) break;
      const { step } = this.#counters, last = step === steps;
      if (step % this.#logEvery === 0 || last || step % checkpointEvery === 0) await this.#report(rate);
      if (this.options.dir && (step % checkpointEvery === 0 || last)) await this.#save();
      if (evaluate && (step % evaluateEvery === 0 && !last)) await evaluate(await this.#params(), step);
    }
    await this.#report(rate);
    this.#line.end();
    const seconds = (performance.now() - began) / 1000, { step, firstLosses, lastLosses } = this.#counters;
    if (this.options.dir && (!this.#saved || ended)) await this.#save();
    const params = await this.#params();
    if (evaluate) await evaluate(params, step);
    programs.forward.destroy();
    programs.apply?.destroy();
    return {
      params,
      steps: step,
      seconds,
      loss: { first: firstLosses / this.#tenth, last: lastLosses / this.#tenth },
      checkpoint: this.#saved,
    };
  }

  /** One optimizer step; false when the task has no more mini-batches. */
  async #step({ forward, apply }: ReturnType<typeof buildStep<S, X, B>>): Promise<boolean> {
    const { accumulate = 1, learningRate } = this.options;
    for (let micro = 0; micro < accumulate; micro++) {
      const batch = await this.task.next(() => this.#params());
      if (!batch) return false;
      const rate = learningRate(this.#counters.step, batch.epoch);
      this.#state = await forward(this.#state, batch.input, this.#input(rate, micro));
      this.#pending.push({ label: batch.label, epoch: batch.epoch, examples: batch.examples, rate });
      this.#counters.examples += batch.examples;
      await this.#done(batch);
      if (apply && micro === accumulate - 1) this.#state = await apply(this.#state, this.#input(rate, micro));
    }
    this.#counters.step++;
    return true;
  }

  async #done(batch: TrainBatch<B>): Promise<void> {
    await this.task.done?.(batch, this.#state.extra);
  }

  #input(rate: number, micro: number): StepInput {
    const { step } = this.#counters, scalars = stepInputs(rate, step + 1, this.options.adamw);
    const [a, b] = philox([step, micro, 0x7a11, 0], [(this.options.seed ?? 0) >>> 0, 1]);
    return {
      adamw: {
        rate: tensor(scalars.rate),
        correction1: tensor(scalars.correction1),
        correction2: tensor(scalars.correction2),
      },
      key: tensor(Uint32Array.of(a!, b!)),
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
    const perStep = this.options.accumulate ?? 1, firstStep = this.#counters.step - Math.floor(count / perStep);
    this.#pending.forEach(({ label }, i) => {
      const [loss, norm] = row(i);
      if (Number.isFinite(loss) && Number.isFinite(norm)) return;
      this.#line.end();
      throw new Error(
        `Training stopped at step ${firstStep + Math.floor(i / perStep) + 1}: the ${
          Number.isFinite(loss) ? "gradient" : "loss"
        } is not finite ` +
          `(loss ${loss}, gradient norm ${norm}) on ${label}; the parameters are those before this step`,
      );
    });
    const means = columns.map((_, c) => this.#pending.reduce((s, _, i) => s + row(i)[c]!, 0) / count);
    this.#pending.forEach((_, i) => this.#sumLoss(firstStep + Math.floor(i / perStep), row(i)[0]! / perStep));
    await this.#publish(Object.fromEntries(columns.map((name, i) => [name, means[i]!])), rate);
    this.#pending = [];
  }

  #sumLoss(step: number, loss: number): void {
    if (step < this.#tenth) this.#counters.firstLosses += loss;
    if (step >= this.options.steps - this.#tenth) this.#counters.lastLosses += loss;
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
    };
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
    await this.task.close?.();
  }
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
