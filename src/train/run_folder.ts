/**
 * The folder of a run: whose checkpoints it holds, the files that describe the run, and the metrics as JSON lines.
 *
 * @module
 */
import { writeFileAtomic } from "../io/atomic.ts";
import { DiskError } from "../io/disk_error.ts";
import { appendLines, isIn, type LineFile, makeFolder, removeIfThere, textIfThere } from "../io/files.ts";
import { type FolderLock, holderOf, inUse, lockFolder } from "../io/lock.ts";
import { listCheckpoints, removeCheckpoint } from "./checkpoint.ts";

/** What a run means to do with its folder. */
export interface ClaimOptions {
  /** The checkpoint that is continued from, if any. */
  readonly resumed: string | undefined;
  /** Whether checkpoints of another run may be deleted. */
  readonly overwrite: boolean;
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

/**
 * Makes the folder of a run that {@linkcode checkRunFolder} let through, takes it, and deletes checkpoints and metrics of another run.
 *
 * @throws {Error} If another run was faster.
 */
export async function claimRunFolder(out: string, claim: ClaimOptions): Promise<FolderLock> {
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

/** Writes the texts that belong to a run, by file name, each atomically. */
export async function writeRunFiles(out: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFileAtomic(`${out}/${name}`, text);
}

/**
 * Opens the metrics for appending, without the lines of steps after `step`: those steps are still to come. Of a run of `steps` that is
 * complete the last evaluation is made again, so its line goes too.
 */
export async function openMetrics(out: string, step: number, steps: number): Promise<LineFile> {
  const path = metricsPath(out), text = await textIfThere(path) ?? "";
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
export function forgiving(file: LineFile, warn: (error: DiskError) => void): LineFile {
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
