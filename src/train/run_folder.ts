/**
 * The folder of a run: whose checkpoints it holds, and the metrics as JSON lines.
 *
 * @module
 */
import { writeFileAtomic } from "../io/atomic.ts";
import { listCheckpoints, removeCheckpoint } from "./checkpoint.ts";

/** What a run means to do with its folder. */
export interface ClaimOptions {
  /** The checkpoint that is continued from, if any. */
  readonly resumed: string | undefined;
  /** Whether checkpoints of another run may be deleted. */
  readonly overwrite: boolean;
}

/**
 * Makes the folder of a run. Checkpoints of another run would be taken for this one's, so they are deleted or refused.
 *
 * @throws {Error} If there are any and `overwrite` is not set.
 */
export async function claimRunFolder(dir: string, { resumed, overwrite }: ClaimOptions): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
  const [folder, from] = await Promise.all([dir, resumed ?? ""].map((p) => p && Deno.realPath(p)));
  if (from!.startsWith(`${folder}/`) || from!.startsWith(`${folder}\\`)) return;
  const found = await listCheckpoints(dir);
  if (found.length && !overwrite) {
    throw new Error(
      `Cannot start a run in "${dir}": it holds the checkpoint "${found.at(-1)}" of an earlier run; ` +
        `resume that run, overwrite it, or choose another folder`,
    );
  }
  for (const name of found) await removeCheckpoint(dir, name);
}

/** Opens the metrics for appending, without the lines of steps after `step`: those steps are still to come. */
export async function openMetrics(dir: string, step: number): Promise<Deno.FsFile> {
  const path = `${dir}/metrics.jsonl`, text = await readIfThere(path);
  const kept = text.split("\n").filter((line) => stepOf(line) <= step).map((line) => `${line}\n`).join("");
  if (kept !== text) await writeFileAtomic(path, kept);
  return await Deno.open(path, { write: true, create: true, append: true });
}

/** The step of a line; a line that was cut short has none. */
function stepOf(line: string): number {
  try {
    return JSON.parse(line).step;
  } catch {
    return Infinity;
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
