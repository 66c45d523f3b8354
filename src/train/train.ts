/**
 * The loop: mini-batches in, steps, metrics, checkpoints. It knows nothing of models.
 *
 * @module
 */
import type { LineFile } from "../io/files.ts";
import { ProgressLine } from "../io/terminal.ts";
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import { stepInputs } from "../optim/adamw.ts";
import { ParameterLayout } from "../optim/layout.ts";
import { compile, tensor } from "../program/compile.ts";
import { type CompileProgress, placeholders } from "../program/program.ts";
import { signature, type Tree } from "../program/tree.ts";
import { stepKey } from "../random/keys.ts";
import type { SettingsRecord } from "../settings/record.ts";
import { type Counters, loadCheckpoint, type RunSettings, saveCheckpoint, type SavedCheckpoint } from "./checkpoint.ts";
import { CompileLines } from "./progress.ts";
import { profileOnce } from "./profile.ts";
import { endLosses, type Metrics, Reporter } from "./report.ts";
import { checkRunFolder, claimRunFolder, openMetrics, writeRunFiles } from "./run_folder.ts";
import { startingExtra, startingState, startingValues } from "./start.ts";
import {
  buildStep,
  type GradientInput,
  metricNames,
  type Step,
  type StepOptions,
  type TrainState,
  type UpdateInput,
} from "./step.ts";
import type { Task } from "./task.ts";

/** Options of {@linkcode train}. */
export interface TrainOptions extends StepOptions {
  /** Optimizer steps in all, those before a resume included. */
  readonly steps: number;
  /** Learning rate of a step, from 0; `epoch` is that of its mini-batch. */
  readonly learningRate: (step: number, epoch: number) => number;
  /** Decides on starting values, dropout and drawn negatives. @default 0 */
  readonly seed?: number;
  /** Starting values that replace those of the specs, by name (see `loadParameters`). */
  readonly initial?: ReadonlyMap<string, Float32Array>;
  /** Folder for checkpoints and metrics; without it nothing is written. */
  readonly out?: string;
  /** Texts to be written into that folder by file name, once all checks have passed. */
  readonly files?: Readonly<Record<string, string>>;
  /** Settings of the calling program that a resumed run must share, by the names of its flags; see `resumable`. */
  readonly settings?: SettingsRecord;
  /** Delete what an earlier run left in `out`, which is refused otherwise unless it is resumed. @default false */
  readonly overwrite?: boolean;
  /** Steps between checkpoints; there is one at the end in any case. @default 200 */
  readonly checkpointEvery?: number;
  /** Continue from the newest checkpoint of `out` (true) or of another folder or file. */
  readonly resume?: boolean | string;
  /**
   * Ends the run early: when it is aborted, the step that is under way is completed and a checkpoint is written; the result says `stopped`.
   * See `stopOnSignals`.
   */
  readonly signal?: AbortSignal;
  /** Steps between reports; each report waits for the GPU once. @default 20 */
  readonly logEvery?: number;
  /** Called with every report. */
  readonly onMetrics?: (metrics: Metrics) => void | Promise<void>;
  /** Steps between evaluations. Default: at the end only. */
  readonly evaluateEvery?: number;
  /** Progress on standard error, or given to a function line by line. @default true */
  readonly progress?: boolean | ((line: string) => void);
  /** Profiles the third mini-batch: a table in this path with ".txt" and a trace in it with ".json". */
  readonly profile?: string;
}

/** What a run has come to. */
export interface TrainResult<S extends SpecTree> {
  /** The trained parameters, on the GPU. */
  readonly params: ParametersOf<S>;
  /** Optimizer steps done, those before a resume included. */
  readonly steps: number;
  /** Whether `signal` ended the run before its last step; nothing is evaluated then. */
  readonly stopped: boolean;
  /** Seconds of this process's training, without what came before a resume. */
  readonly seconds: number;
  /** Means over the first and the last tenth of the steps (as many steps where the data ended before). */
  readonly loss: { readonly first: number; readonly last: number };
  /** What the task measured at the end; empty if it measures nothing. */
  readonly evaluation: Readonly<Record<string, number>>;
  /** The last checkpoint, if any was written. */
  readonly checkpoint: SavedCheckpoint | null;
}

/**
 * Trains until `steps` optimizer steps are done or the task has no more mini-batches.
 *
 * @throws {Error} If a loss or a gradient is not finite: the message names the mini-batch. Also if a checkpoint cannot be resumed or `out`
 *   holds those of another run; then nothing has been written.
 */
export async function train<S extends SpecTree, X extends Tree, B extends Tree>(
  task: Task<S, X, B>,
  options: TrainOptions,
): Promise<TrainResult<S>> {
  const run = new Run(task, options);
  try {
    await run.start();
    return await run.loop();
  } finally {
    await run.close();
  }
}

/** How often a loop that can be stopped gives the event loop a turn, milliseconds. */
const TURN_MS = 100;

/** The state of one run. */
class Run<S extends SpecTree, X extends Tree, B extends Tree> {
  readonly #layout: ParameterLayout<S>;
  readonly #line: ProgressLine | undefined;
  readonly #logEvery: number;
  readonly #accumulate: number;
  readonly #settings: RunSettings;
  readonly #input: string;
  #state!: TrainState<X>;
  #names: string[] = [];
  #counters: Counters = { step: 0, examples: 0, firstLosses: 0, lastLosses: [] };
  #reporter!: Reporter;
  #metricsFile: LineFile | undefined;
  #saved: SavedCheckpoint | null = null;
  #savedStep = -1;
  #programs: Step<X, B> | undefined;
  #turned = 0;

  constructor(readonly task: Task<S, X, B>, readonly options: TrainOptions) {
    checkOptions(options);
    const { steps, accumulate = 1, progress = true } = options;
    this.#layout = new ParameterLayout(task.spec, task);
    this.#accumulate = accumulate;
    this.#logEvery = Math.min(options.logEvery ?? 20, steps);
    this.#line = progress === true ? new ProgressLine() : undefined;
    this.#input = signature(placeholders(task.input));
    this.#settings = {
      flags: options.settings ?? {},
      task: task.settings ?? {},
      trainer: { seed: options.seed ?? 0, steps, accumulate, clip: options.clip ?? null, adamw: { ...options.adamw } },
    };
  }

  /** Checks everything, then writes the run's files and puts starting values or a checkpoint on the GPU. */
  async start(): Promise<void> {
    const { resume, out, overwrite = false, seed = 0, initial, files = {} } = this.options;
    const where = resume === true ? out : resume || undefined;
    if (resume === true && !out) throw new Error('Cannot resume: "out" must name the folder of the run: it is not set');
    const values = startingValues(this.task.spec, seed, initial), extra = startingExtra(this.task, values);
    const saved = where ? await loadCheckpoint(where, this.#layout, extra, this.#settings) : undefined;
    const claim = { resumed: saved?.path, overwrite };
    if (saved) this.task.data.restore?.(decodeParts(saved.record.parts));
    if (out) await checkRunFolder(out, claim);
    this.#names = metricNames(this.task, this.#layout, extra);
    if (out) {
      await claimRunFolder(out, claim);
      await writeRunFiles(out, files);
      this.#metricsFile = await openMetrics(out, saved?.record.counters.step ?? 0, this.options.steps);
    }
    const sizes = { rows: this.#logEvery * this.#accumulate, columns: 1 + this.#names.length, steps: this.#logEvery };
    this.#state = await startingState(this.#layout, values, extra, sizes, saved);
    if (saved) this.#counters = { ...saved.record.counters };
    if (saved) this.#say(`resumed from ${saved.path} at step ${this.#counters.step}`);
  }

  async loop(): Promise<TrainResult<S>> {
    const { steps, out, checkpointEvery = 200, evaluateEvery = Infinity } = this.options;
    this.#programs = this.#build();
    const began = performance.now();
    this.#reporter = this.#makeReporter();
    const first = this.#counters.step + 1;
    while (this.#counters.step < steps && !await this.#isStopped() && await this.#step(this.#programs)) {
      if (this.#counters.step === first) this.#reporter.compiled(first);
      const { step } = this.#counters, last = step === steps;
      if (step % this.#logEvery === 0 || last || step % checkpointEvery === 0) {
        await this.#reporter.report(this.#state, this.#counters);
      }
      if (out && step % checkpointEvery === 0) await this.#save();
      if (step % evaluateEvery === 0 && !last) await this.#evaluate(await this.#params(), step);
    }
    await this.#reporter.report(this.#state, this.#counters);
    this.#line?.end();
    const seconds = (performance.now() - began) / 1000, { step } = this.#counters;
    const stopped = step < steps && this.options.signal?.aborted === true;
    if (!step && stopped) throw new Error("The run was stopped before its first step: there is nothing to save");
    if (!step) throw new Error("Cannot train: the task gives not one mini-batch for each step");
    if (out && this.#savedStep !== step) await this.#save();
    const params = await this.#params();
    const evaluation = stopped ? {} : await this.#evaluate(params, step);
    return {
      params,
      steps: step,
      stopped,
      seconds,
      loss: endLosses(this.#counters, steps),
      evaluation,
      checkpoint: this.#saved,
    };
  }

  /** Whether the run is to end. Signals arrive in turns of the event loop, which a loop that never waits does not give. */
  async #isStopped(): Promise<boolean> {
    const { signal } = this.options;
    if (!signal) return false;
    if (performance.now() - this.#turned > TURN_MS) {
      await new Promise((resolve) => setTimeout(resolve));
      this.#turned = performance.now();
    }
    return signal.aborted;
  }

  #makeReporter(): Reporter {
    const { steps, onMetrics } = this.options, say = (line: string) => this.#say(line);
    const options = {
      steps,
      accumulate: this.#accumulate,
      names: this.#names,
      file: this.#metricsFile,
      say,
      onMetrics,
    };
    return new Reporter(options, this.#counters.step);
  }

  #build(): Step<X, B> {
    const { profile } = this.options;
    const built = buildStep(this.task, this.#layout, { ...this.options, compile: this.#compileOptions() });
    return profile ? { ...built, gradients: profileOnce(built.gradients, profile) } : built;
  }

  /** One optimizer step; false when the task has no more mini-batches, or not enough for a step. */
  async #step({ gradients, update }: Step<X, B>): Promise<boolean> {
    const { step } = this.#counters;
    let rate = 0;
    for (let micro = 0; micro < this.#accumulate; micro++) {
      const asked = performance.now();
      const batch = await this.task.data.next({ step, params: () => this.#params() });
      this.#reporter.waited((performance.now() - asked) / 1000);
      if (!batch) {
        this.#reporter.drop(step + 1);
        return false;
      }
      this.#checkInput(batch.input);
      const { label, epoch, examples } = batch;
      rate = this.#rate(epoch);
      this.#state = await gradients(this.#state, batch.input, this.#gradientInput(micro, epoch));
      this.#reporter.add({ step: step + 1, label, epoch, examples, rate });
      await this.task.data.done?.(batch, this.#state.extra);
    }
    this.#state = await update(this.#state, this.#updateInput(rate));
    this.#counters.step = step + 1;
    this.#counters.examples += this.#reporter.lastExamples();
    return true;
  }

  #checkInput(input: B): void {
    const given = signature(input);
    if (given === this.#input || inOrder(given) === inOrder(this.#input)) return;
    throw new RangeError(
      `Cannot train: a mini-batch must be ${this.#input}, as the task's "input" says: it is ${given}`,
    );
  }

  #rate(epoch: number): number {
    const { step } = this.#counters, rate = this.options.learningRate(step, epoch);
    if (rate >= 0 && rate < Infinity) return rate;
    throw new RangeError(`Cannot train: "learningRate" must give at least 0 for step ${step}: it gives ${rate}`);
  }

  #gradientInput(micro: number, epoch: number): GradientInput {
    const { step } = this.#counters;
    return {
      key: tensor(stepKey(this.options.seed ?? 0, step, micro)),
      step: tensor(step),
      epoch: tensor(epoch),
      keep: tensor(micro ? 1 : 0),
      row: tensor(Uint32Array.of(this.#reporter.count)),
    };
  }

  #updateInput(rate: number): UpdateInput {
    const scalars = stepInputs(rate, this.#counters.step + 1, this.options.adamw);
    return {
      adamw: {
        rate: tensor(scalars.rate),
        correction1: tensor(scalars.correction1),
        correction2: tensor(scalars.correction2),
      },
      row: tensor(Uint32Array.of(Math.floor((this.#reporter.count - 1) / this.#accumulate))),
    };
  }

  /** The task's figures, which are a line of the metrics too. */
  async #evaluate(params: ParametersOf<S>, step: number): Promise<Readonly<Record<string, number>>> {
    const figures = await this.task.evaluate?.(params, step);
    if (figures) this.#metricsFile?.write(JSON.stringify({ step, ...figures }));
    return figures ?? {};
  }

  async #save(): Promise<void> {
    const parts = Object.entries(this.task.data.save?.() ?? {}).map(([name, bytes]) => [name, toBase64(bytes)]);
    const record = { settings: this.#settings, counters: this.#counters, parts: Object.fromEntries(parts) };
    this.#saved = await saveCheckpoint(this.options.out!, this.#state, this.#layout, record);
    this.#savedStep = this.#counters.step;
  }

  /** The parameters as tensors of their own, copied, so that they outlive the next step. */
  async #params(): Promise<ParametersOf<S>> {
    const { optimizer: { values }, frozen } = this.#state, count = values.length;
    const unpack = compile((...flats: Tree[]) =>
      this.#layout.unpack(flats.slice(0, count) as never, flats.slice(count) as never) as Tree
    );
    const params = await unpack(...values, ...frozen);
    unpack.destroy();
    return params as ParametersOf<S>;
  }

  #compileOptions() {
    if (this.options.progress === false) return { ...this.options.compile };
    const lines = new CompileLines((line) => this.#say(line));
    const progress: CompileProgress = (...at) => lines.at(...at);
    return { ...this.options.compile, progress: this.options.compile?.progress ?? progress };
  }

  #say(text: string): void {
    const { progress } = this.options;
    if (typeof progress === "function") progress(text);
    else this.#line?.show(text);
  }

  async close(): Promise<void> {
    this.#line?.end();
    this.#metricsFile?.close();
    this.#programs?.gradients.destroy();
    this.#programs?.update.destroy();
    await this.task.data.close?.();
  }
}

/** A signature whatever the order of the fields. */
function inOrder(signature: string): string {
  return signature.split(";").sort().join(";");
}

function checkOptions(options: TrainOptions): void {
  const { steps, accumulate, checkpointEvery, logEvery, evaluateEvery, clip } = options;
  for (const [name, n] of Object.entries({ steps, accumulate, checkpointEvery, logEvery, evaluateEvery })) {
    if (Number.isInteger(n) && n! >= 1) continue;
    if (n === undefined && name !== "steps" || n === Infinity && name === "evaluateEvery") continue;
    throw new RangeError(`Cannot train: "${name}" must be a whole number of at least 1: it is ${n}`);
  }
  if (clip !== undefined && !(clip > 0)) throw new RangeError(`Cannot train: "clip" must be above 0: it is ${clip}`);
}

function decodeParts(parts: Readonly<Record<string, string>>): Map<string, Uint8Array> {
  return new Map(Object.entries(parts).map(([name, text]) => [name, fromBase64(text)]));
}

function toBase64(bytes: Uint8Array<ArrayBuffer>): string {
  return (bytes as Uint8Array<ArrayBuffer> & { toBase64(): string }).toBase64();
}

function fromBase64(text: string): Uint8Array {
  return (Uint8Array as unknown as { fromBase64(text: string): Uint8Array }).fromBase64(text);
}
