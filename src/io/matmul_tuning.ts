/**
 * Measured choices of matmul variants, in a file that a user can read and delete. Nothing is loaded unless it is asked for.
 *
 * @module
 */
import { type Device, type DeviceProfile, readEnvironment } from "../gpu/device.ts";
import { type MatmulChoice, type MatmulSizes, matmulVariants, overrideMatmulChoice } from "../ops/matmul_variants.ts";
import { writeFileAtomic } from "./atomic.ts";

/** The variant that was fastest on one class of shapes, and what all reached. */
export interface TunedShape {
  readonly variant: string;
  readonly splits: number;
  /** GFLOP/s by variant. */
  readonly measured: Readonly<Record<string, number>>;
}

/** What was measured on one adapter. */
export interface MatmulTuning {
  readonly adapter: string;
  readonly date: string;
  /** By class, see {@linkcode shapeClass}. */
  readonly shapes: Readonly<Record<string, TunedShape>>;
}

/** Shapes that are treated alike: each size rounded to a power of two, as "2048x128x128" with "x64" for a batch of 64. */
export function shapeClass({ m, n, k, batch }: MatmulSizes): string {
  const rounded = [m, n, k, batch].map((size) => 2 ** Math.round(Math.log2(size)));
  return (rounded[3] === 1 ? rounded.slice(0, 3) : rounded).join("x");
}

/** Where tunings are kept: $XDG_CACHE_HOME/gritstone, or .cache/gritstone in the home folder. */
export function tuningPath(adapter: string): string {
  const cache = readEnvironment("XDG_CACHE_HOME") ?? `${readEnvironment("HOME") ?? "."}/.cache`;
  return `${cache}/gritstone/matmul-${(adapter.match(/[\w.]+/g) ?? []).join("-")}.json`;
}

/** Writes a tuning as readable JSON. */
export async function saveTuning(tuning: MatmulTuning, path: string = tuningPath(tuning.adapter)): Promise<void> {
  await Deno.mkdir(path.replace(/[^/]*$/, "") || ".", { recursive: true });
  await writeFileAtomic(path, JSON.stringify(tuning, null, 2) + "\n");
}

/**
 * Uses the tuning of a file for all programs that are traced from now on; false if there is no such file.
 *
 * @throws {Error} if it was made on another adapter, {@linkcode SyntaxError} if it is no tuning.
 */
export async function loadTuning(device: Device, path: string = tuningPath(device.adapter)): Promise<boolean> {
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
  overrideMatmulChoice((profile, sizes) => tunedChoice(tuning, profile, sizes));
  return true;
}

function parseTuning(text: string, path: string): MatmulTuning {
  let tuning: Partial<MatmulTuning> | null;
  try {
    tuning = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read the tuning "${path}": ${(error as Error).message}; delete it or tune again`);
  }
  if (typeof tuning?.adapter !== "string" || typeof tuning.shapes !== "object") {
    throw new SyntaxError(
      `Cannot read the tuning "${path}": it must have "adapter" and "shapes"; delete it or tune again`,
    );
  }
  return tuning as MatmulTuning;
}

/** The measured choice for a product, if its class was measured and its variant still exists. */
export function tunedChoice(tuning: MatmulTuning, device: DeviceProfile, sizes: MatmulSizes): MatmulChoice | undefined {
  const tuned = tuning.shapes[shapeClass(sizes)];
  const variant = tuned && matmulVariants(device).find((v) => v.name === tuned.variant);
  return variant && { variant, splits: tuned.splits };
}
