/**
 * The folder of a run: whose checkpoints it holds, the files that describe the run, the metrics as JSON lines, and what of all this
 * survives a disk that fails.
 *
 * @module
 */
import { writeFileAtomic } from "../io/atomic.ts";
import { DiskError } from "../io/disk_error.ts";
import { appendLines, isIn, type LineFile, makeFolder, removeIfThere, textIfThere } from "../io/files.ts";
import { type FolderLock, holderOf, inUse, lockFolder } from "../io/lock.ts";
import type { SpecTree } from "../nn/spec.ts";
import type { ParameterLayout } from "../optim/layout.ts";
import type { Tree } from "../program/tree.ts";
import {
  type CheckpointRecord,
  listCheckpoints,
  removeCheckpoint,
  saveCheckpoint,
  type SavedCheckpoint,
} from "./checkpoint.ts";
import type { TrainState } from "./step.ts";

/** What a run means to do with its folder. */
export interface ClaimOptions {
  /** The checkpoint that is continued from, if any. */
  readonly resumed: string | undefined;
  /** Whether checkpoints of another run may be deleted. */
  readonly overwrite: boolean;
}

/** The folder of a run that is at work in it. */
export class RunFolder {
  /** The newest checkpoint of this run. */
  saved: SavedCheckpoint | null = null;
  /** Its step. */
  savedStep = -1;
  /** Where metrics go, once {@linkcode openMetrics} has been called. */
  metrics: LineFile | undefined;

  private constructor(
    readonly path: string,
    readonly lock: FolderLock,
    /** Told of what the disk did not take; without it an error ends the run. */
    readonly onLoss: ((sentence: string) => void) | undefined,
  ) {}

  /**
   * Makes the folder of a run that {@linkcode checkRunFolder} let through, takes it, deletes checkpoints and metrics of another run, and
   * writes the files that describe this one.
   *
   * @throws {Error} If another run was faster.
   */
  static async claim(
    path: string,
    claim: ClaimOptions,
    files: Readonly<Record<string, string>>,
    onLoss?: (sentence: string) => void,
  ): Promise<RunFolder> {
    const folder = new RunFolder(path, await claimRunFolder(path, claim), onLoss);
    try {
      for (const [name, text] of Object.entries(files)) await writeFileAtomic(`${path}/${name}`, text);
      return folder;
    } catch (error) {
      await folder.lock.free();
      throw error;
    }
  }

  /**
   * Opens the metrics for appending, without the lines of steps after `step`: those steps are still to come. Of a run of `steps` that is
   * complete the last evaluation is made again, so its line goes too.
   */
  async openMetrics(step: number, steps: number): Promise<void> {
    const file = await openLines(metricsPath(this.path), step, steps), { onLoss } = this;
    this.metrics = onLoss ? forgiving(file, ({ message }) => onLoss(message)) : file;
  }

  /** Closes them, until they are opened again. */
  closeMetrics(): void {
    this.metrics?.close();
    this.metrics = undefined;
  }

  /** Writes a checkpoint. @throws {DiskError} If the disk fails. */
  async save<S extends SpecTree, X extends Tree>(
    state: TrainState<X>,
    layout: ParameterLayout<S>,
    record: Omit<CheckpointRecord, "format" | "tensors">,
  ): Promise<void> {
    this.saved = await saveCheckpoint(this.path, state, layout, record);
    this.savedStep = record.counters.step;
  }

  /** As {@linkcode save}, but where losses are only told it goes on without a checkpoint that the disk did not take. */
  async trySave(...what: Parameters<typeof this.save>): Promise<void> {
    try {
      await this.save(...what);
    } catch (error) {
      if (!(error instanceof DiskError) || !this.onLoss) throw error;
      this.onLoss(`${(await withWhole(error, this.path)).message}; training goes on`);
    }
  }

  /** Leaves the folder to others. */
  async close(): Promise<void> {
    this.closeMetrics();
    await this.lock.free();
  }
}

/**
 * Throws if a run must not start in `out`: another one is running there, or its checkpoints would be taken for this one's. Writes nothing.
 *
 * @throws {Error} If one is running, or there are checkpoints and `overwrite` is not set.
 */
export async function checkRunFolder(out: string, claim: ClaimOptions): Promise<void> {
  const holder = await holderOf(out);
  if (holder !== undefined) throw new Error(inUse(out, holder));
  await checkCheckpoints(out, claim);
}

async function checkCheckpoints(out: string, { resumed, overwrite }: ClaimOptions): Promise<void> {
  const found = await listCheckpoints(out);
  if (!found.length || overwrite || (resumed !== undefined && await isIn(out, resumed))) return;
  throw new Error(
    `Cannot start a run in "${out}": it holds the checkpoint "${found.at(-1)}" of an earlier run; ` +
      `continue that run (--resume), delete its checkpoints (--overwrite), or choose another folder (--out)`,
  );
}

/** Takes the folder for a run; what is in it of another run is deleted. */
async function claimRunFolder(out: string, claim: ClaimOptions): Promise<FolderLock> {
  await makeFolder(out);
  const lock = await lockFolder(out), { resumed } = claim;
  try {
    await checkCheckpoints(out, claim); // there may be new ones by now
    if (resumed !== undefined && await isIn(out, resumed)) return lock;
    for (const name of await listCheckpoints(out)) await removeCheckpoint(out, name);
    await removeIfThere(metricsPath(out));
    return lock;
  } catch (error) {
    await lock.free();
    throw error;
  }
}

/** Opens metrics that end with those of `step`. */
async function openLines(path: string, step: number, steps: number): Promise<LineFile> {
  const text = await textIfThere(path) ?? "";
  const kept = text.split("\n").filter((line) => stepOf(line) <= step && !(step === steps && isEvaluation(line, step)))
    .map((line) => `${line}\n`).join("");
  if (kept !== text) await writeFileAtomic(path, kept);
  return await appendLines(path);
}

/** The error with the end of its sentence: which checkpoint of the folder is still whole. */
export async function withWhole<E extends Error>(error: E, out: string): Promise<E> {
  const whole = await listCheckpoints(out).catch((): string[] => []), last = whole.at(-1);
  const state = last === undefined
    ? `there is no checkpoint in "${out}"`
    : `the checkpoint "${out}/${last}.safetensors" is whole, --resume goes on from it`;
  const Kind = error.constructor as new (message: string, options: ErrorOptions) => E;
  return new Kind(`${error.message}; ${state}`, { cause: error });
}

/** A file whose lines are lost where the disk does not take them; `warn` is told. */
function forgiving(file: LineFile, warn: (error: DiskError) => void): LineFile {
  const write = (line: string): void => {
    try {
      file.write(line);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      warn(error);
    }
  };
  return { write, close: () => file.close() };
}

function metricsPath(out: string): string {
  return `${out}/metrics.jsonl`;
}

function isEvaluation(line: string, step: number): boolean {
  return stepOf(line) === step && !("loss" in JSON.parse(line));
}

/** The step of a line; a line that was cut short has none. */
function stepOf(line: string): number {
  try {
    return JSON.parse(line).step;
  } catch {
    return Infinity;
  }
}
