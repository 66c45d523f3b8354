/**
 * The loop: mini-batches in, steps, metrics, checkpoints. It knows nothing of models.
 *
 * @module
 */
import { defaultDevice } from "../gpu/device.ts";
import { DeviceLostError, OutOfMemoryError } from "../gpu/errors.ts";
import { DiskError } from "../io/disk_error.ts";
import { ProgressLine } from "../io/terminal.ts";
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import { stepInputs } from "../optim/adamw.ts";
import { ParameterLayout } from "../optim/layout.ts";
import { compile, tensor } from "../program/compile.ts";
import { type CompileProgress, placeholders } from "../program/program.ts";
import { signature, type Tree } from "../program/tree.ts";
import { stepKey } from "../random/keys.ts";
import {
  type Counters,
  listCheckpoints,
  loadCheckpoint,
  type LoadedCheckpoint,
  type RunSettings,
} from "./checkpoint.ts";
import { profileOnce } from "./profile.ts";
import { CompileLines } from "./progress.ts";
import { checkOptions, type TrainOptions, type TrainResult } from "./options.ts";
import { gpuFailure, replaceDevice } from "./recover.ts";
import { endLosses, Reporter } from "./report.ts";
import { checkRunFolder, RunFolder, withWhole } from "./run_folder.ts";
import { goOnWith, type RunDevice, runDevice } from "./same_device.ts";
import { startingExtra, startingState, startingValues } from "./start.ts";
import { buildStep, type GradientInput, metricNames, type Step, type TrainState, type UpdateInput } from "./step.ts";
import type { Task } from "./task.ts";

export type { TrainOptions, TrainResult } from "./options.ts";

/**
 * Trains until `steps` optimizer steps are done or the task has no more mini-batches.
 *
 * @throws {Error} If a loss or a gradient is not finite: the message names the mini-batch. Also if a checkpoint cannot be resumed or `out`
 *   holds those of another run, or one is at work there; then nothing has been written.
 * @throws {DiskError} If the disk fails: the file, the bytes needed, and which checkpoint is still whole.
 */
export async function train<S extends SpecTree, X extends Tree, B extends Tree>(
  task: Task<S, X, B>,
  options: TrainOptions,
): Promise<TrainResult<S>> {
  const run = new Run(task, options);
  try {
    await run.start();
    for (let left = options.recover ?? 0;; left--) {
      try {
        return await run.loop();
      } catch (error) {
        const failure = await gpuFailure(error);
        if (!failure || !left) throw failure ?? error;
        await run.recover(failure, left);
      }
    }
  } catch (error) {
    const known = error instanceof DiskError || error instanceof DeviceLostError || error instanceof OutOfMemoryError;
    throw known && options.out ? await withWhole(error, options.out) : error;
  } finally {
    await run.close();
  }
}

/** How often a loop that can be stopped gives the event loop a turn, milliseconds. */
const TURN_MS = 100;

/** What a run begins with, on the host. */
interface Beginning<X extends Tree> {
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly extra: X;
  readonly saved: LoadedCheckpoint<X> | undefined;
}

/** The state of one run. */
class Run<S extends SpecTree, X extends Tree, B extends Tree> {
  readonly #layout: ParameterLayout<S>;
  readonly #line: ProgressLine | undefined;
  readonly #logEvery: number;
  readonly #accumulate: number;
  readonly #settings: RunSettings;
  readonly #inputs: readonly string[];
  #state!: TrainState<X>;
  #names: string[] = [];
  #counters: Counters = noSteps();
  /** The checkpoint, or its folder, that the run was told to continue from. */
  #from: string | undefined;
  /** The data's parts before the first step. */
  #fresh: ReadonlyMap<string, Uint8Array> = new Map();
  #reporter!: Reporter;
  #folder: RunFolder | undefined;
  #device!: RunDevice;
  #programs: Step<X, B> | undefined;
  #turned = 0;
  #began: number | undefined;

  constructor(readonly task: Task<S, X, B>, readonly options: TrainOptions) {
    checkOptions(options);
    if (options.recover && !(task.data.save && task.data.restore)) {
      throw new Error('Cannot recover: the task\'s data must have "save" and "restore", to go back with the run');
    }
    const { steps, accumulate = 1, progress = true } = options;
    this.#layout = new ParameterLayout(task.spec, task);
    this.#accumulate = accumulate;
    this.#logEvery = Math.min(options.logEvery ?? 20, steps);
    this.#line = progress === true ? new ProgressLine() : undefined;
    this.#inputs = [task.input, ...task.inputs ?? []].map((input) => signature(placeholders(input)));
    this.#settings = {
      flags: options.settings ?? {},
      task: task.settings ?? {},
      extendable: options.extendable ?? false,
      trainer: { seed: options.seed ?? 0, steps, accumulate, clip: options.clip ?? null, adamw: { ...options.adamw } },
    };
  }

  /** Checks everything, then writes the run's files and puts starting values or a checkpoint on the GPU. */
  async start(): Promise<void> {
    const { resume, out, overwrite = false, files = {}, onSaveError } = this.options;
    if (resume === true && !out) throw new Error('Cannot resume: "out" must name the folder of the run: it is not set');
    this.#from = resume === true ? out : resume || undefined;
    this.#fresh = new Map(Object.entries(this.task.data.save?.() ?? {}));
    const first = await this.#read(this.#from), claim = { resumed: first.saved?.path, overwrite };
    if (out) await checkRunFolder(out, claim);
    const changed = first.saved && await this.#goOnWith(first.saved.record.device);
    this.#device = runDevice(await defaultDevice());
    this.#names = metricNames(this.task, this.#layout, first.extra);
    const onLoss = onSaveError === "continue" ? (text: string) => this.#warn(text) : undefined;
    if (out) this.#folder = await RunFolder.claim(out, claim, files, onLoss);
    await this.#begin(first);
    if (changed) this.#warn(changed);
    if (first.saved) this.#say(`resumed from ${first.saved.path} at step ${this.#counters.step}`);
  }

  /** Goes back to the last checkpoint on a new device. */
  async recover(failure: Error, left: number): Promise<void> {
    this.#warn(`${failure.message}; the device is opened anew (${left - 1} more times if need be)`);
    this.#destroyPrograms();
    this.#folder?.closeMetrics();
    await replaceDevice(this.options.openDevice);
    await this.#goOnWith(this.#device);
    const { out } = this.options, own = out !== undefined && (await listCheckpoints(out)).length > 0;
    const first = await this.#read(own ? out : this.#from);
    if (!first.saved) this.task.data.restore!(this.#fresh);
    await this.#begin(first);
    this.#warn(`going on from ${first.saved?.path ?? "the start"} at step ${this.#counters.step}`);
  }

  /** Kernels are chosen as they were; what cannot be so is told. */
  async #goOnWith(began: RunDevice | undefined): Promise<string | undefined> {
    return goOnWith(await defaultDevice(), began);
  }

  /** What a run goes on from, if anything, and starting values. */
  async #read(where: string | undefined): Promise<Beginning<X>> {
    const values = startingValues(this.task.spec, this.options.seed ?? 0, this.options.initial);
    const extra = startingExtra(this.task, values);
    const saved = where ? await loadCheckpoint(where, this.#layout, extra, this.#settings) : undefined;
    if (saved) this.task.data.restore?.(decodeParts(saved.record.parts));
    return { values, extra, saved };
  }

  /** Puts it on the GPU. */
  async #begin({ values, extra, saved }: Beginning<X>): Promise<void> {
    this.#counters = saved ? structuredClone(saved.record.counters) : noSteps();
    await this.#folder?.openMetrics(this.#counters.step, this.options.steps);
    const sizes = { rows: this.#logEvery * this.#accumulate, columns: 1 + this.#names.length, steps: this.#logEvery };
    this.#state = await startingState(this.#layout, values, extra, sizes, saved);
  }

  async loop(): Promise<TrainResult<S>> {
    const { steps, checkpointEvery = 200, evaluateEvery = Infinity } = this.options, folder = this.#folder;
    this.#programs = this.#build();
    this.#began ??= performance.now();
    this.#reporter = this.#makeReporter();
    await this.#compileAhead(this.#programs);
    const first = this.#counters.step + 1;
    while (this.#counters.step < steps && !await this.#isStopped() && await this.#step(this.#programs)) {
      if (this.#counters.step === first) this.#reporter.compiled(first);
      const { step } = this.#counters, last = step === steps;
      if (step % this.#logEvery === 0 || last || step % checkpointEvery === 0) {
        await this.#reporter.report(this.#state, this.#counters);
      }
      if (step % checkpointEvery === 0) {
        await (last ? folder?.save(...this.#saving()) : folder?.trySave(...this.#saving()));
      }
      if (step % evaluateEvery === 0 && !last) await this.#evaluate(await this.#params(), step);
    }
    await this.#reporter.report(this.#state, this.#counters);
    this.#line?.end();
    const seconds = (performance.now() - this.#began) / 1000, { step } = this.#counters;
    const stopped = step < steps && this.options.signal?.aborted === true;
    if (!step && stopped) throw new Error("The run was stopped before its first step: there is nothing to save");
    if (!step) throw new Error("Cannot train: the task gives not one mini-batch for each step");
    if (folder?.savedStep !== step) await folder?.save(...this.#saving());
    const params = await this.#params();
    const evaluation = stopped ? {} : await this.#evaluate(params, step);
    return {
      params,
      steps: step,
      stopped,
      seconds,
      loss: endLosses(this.#counters),
      evaluation,
      checkpoint: folder?.saved ?? null,
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
      file: this.#folder?.metrics,
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

  /** Compiles the programs of all shapes, if there are several: a later one would stop the run for as long as it takes. */
  async #compileAhead({ gradients }: Step<X, B>): Promise<void> {
    const { progress } = this.#compileOptions();
    for (const input of this.task.inputs ?? []) {
      const program = await gradients.program(this.#state, placeholders(input), this.#gradientInput(0, 0));
      await program.build(progress);
    }
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
    if (this.#inputs.some((input) => given === input || inOrder(given) === inOrder(input))) return;
    throw new RangeError(
      `Cannot train: a mini-batch must be ${this.#inputs.join(", or ")}, as the task's "input" says: it is ${given}`,
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
    if (figures) this.#folder?.metrics?.write(JSON.stringify({ step, ...figures }));
    return figures ?? {};
  }

  /** What a checkpoint is made of. */
  #saving() {
    const parts = Object.entries(this.task.data.save?.() ?? {}).map(([name, bytes]) => [name, toBase64(bytes)]);
    const { flags, task, trainer } = this.#settings;
    const settings = { flags, task, trainer }, device = this.#device;
    const record = { settings, device, counters: this.#counters, parts: Object.fromEntries(parts) };
    return [this.#state, this.#layout, record] as const;
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

  /** A line that stays. */
  #warn(text: string): void {
    const { progress } = this.options;
    if (typeof progress === "function") progress(text);
    else this.#line?.print(text);
  }

  #destroyPrograms(): void {
    this.#programs?.gradients.destroy();
    this.#programs?.update.destroy();
    this.#programs = undefined;
  }

  async close(): Promise<void> {
    this.#line?.end();
    this.#destroyPrograms();
    await this.#folder?.close();
    await this.task.data.close?.();
  }
}

/** A signature whatever the order of the fields. */
function inOrder(signature: string): string {
  return signature.split(";").sort().join(";");
}

function noSteps(): Counters {
  return { step: 0, examples: 0, firstLosses: 0, firstSteps: 0, lastLosses: [] };
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
