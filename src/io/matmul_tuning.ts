/**
 * Measured choices of matrix products in files that a user can read, copy and delete: `--tuning FILE`. What `deno task doctor` keeps of the
 * adapter needs no file to be named; see `adapter_notes.ts`.
 *
 * @module
 */
import { isShapes, type TunedShape } from "../gpu/adapter_notes.ts";
import type { Device } from "../gpu/device.ts";
import { writeFileAtomic } from "./atomic.ts";

/** What was measured on one adapter. */
export interface MatmulTuning {
  readonly adapter: string;
  readonly date: string;
  /** By class, see `shapeClass`. */
  readonly shapes: Readonly<Record<string, TunedShape>>;
}

/** Writes a tuning as readable JSON. */
export async function saveTuning(tuning: MatmulTuning, path: string): Promise<void> {
  await writeFileAtomic(path, JSON.stringify(tuning, null, 2) + "\n");
}

/**
 * Uses the tuning of a file for all programs of a device that are traced from now on; false if there is no such file.
 *
 * @throws {Error} If it was made on another adapter, {@linkcode SyntaxError} if it is no tuning.
 */
export async function loadTuning(device: Device, path: string): Promise<boolean> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  const tuning = parseTuning(text, path);
  if (tuning.adapter !== device.adapter) {
    throw new Error(
      `Cannot use the tuning "${path}": it must be of "${device.adapter}": it is of "${tuning.adapter}"; run "deno task tune"`,
    );
  }
  device.choose({ avoid: device.profile.choices?.avoid ?? [], products: tuning.shapes });
  return true;
}

function parseTuning(text: string, path: string): MatmulTuning {
  let tuning: Partial<MatmulTuning> | null;
  try {
    tuning = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read the tuning "${path}": ${(error as Error).message}; delete it or tune again`);
  }
  if (typeof tuning?.adapter === "string" && isShapes(tuning.shapes)) return tuning as MatmulTuning;
  throw new SyntaxError(
    `Cannot read the tuning "${path}": it must have "adapter" and "shapes", each with "variant" and "splits"; ` +
      `delete it or tune again`,
  );
}
