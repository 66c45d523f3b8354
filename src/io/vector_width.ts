/**
 * The vector width of Mesa's software driver, llvmpipe, which takes it when it is loaded: 256 bits by default, and 512 run faster on some
 * CPUs. `deno task doctor` measures them, and what it keeps is used by every later command.
 *
 * @module
 */
import { systemOf } from "../gpu/adapter_notes.ts";
import { cacheFolder } from "../gpu/cache_folder.ts";
import { readFileIfPermitted } from "../gpu/environment.ts";
import { writeFileAtomic } from "./atomic.ts";
import { makeFolderOf, removeIfThere } from "./files.ts";

/** The environment variable that llvmpipe takes its width from. */
export const WIDTH_VARIABLE = "LP_NATIVE_VECTOR_WIDTH";

/** Widths in bits that can be asked for. */
const WIDTHS: readonly unknown[] = [128, 256, 512];

/** What is kept of a machine. */
interface KeptWidth {
  readonly format: "gritstone-vector-width-1";
  /** CPU, runtime and drivers that it was measured with. */
  readonly system: string;
  /** Bits. */
  readonly width: number;
}

const pathIn = (folder: string): string => `${folder}/llvmpipe-width.json`;

/**
 * Keeps a width for later commands; undefined: the driver's own.
 *
 * @param cache See `cacheFolder`.
 */
export async function keepWidth(width: number | undefined, cache?: string): Promise<void> {
  const folder = cacheFolder(cache);
  if (!folder) return;
  if (width === undefined) return await removeIfThere(pathIn(folder));
  const kept: KeptWidth = { format: "gritstone-vector-width-1", system: systemOf("cpu"), width };
  await makeFolderOf(pathIn(folder));
  await writeFileAtomic(pathIn(folder), JSON.stringify(kept, null, 2) + "\n");
}

/** The width that is kept of this machine, if there is one. Of a file that holds something else one warning says so. */
export function keptWidth(cache?: string): number | undefined {
  const folder = cacheFolder(cache);
  if (!folder) return undefined;
  try {
    const text = readFileIfPermitted(pathIn(folder));
    if (text === undefined) return undefined;
    const { format, system, width }: Partial<KeptWidth> = JSON.parse(text) ?? {};
    if (format !== "gritstone-vector-width-1" || typeof system !== "string" || !WIDTHS.includes(width)) {
      throw new SyntaxError('it must have "format", "system" and a "width" of 128, 256 or 512');
    }
    return system === systemOf("cpu") ? width : undefined;
  } catch (error) {
    console.warn(
      `The vector width in "${pathIn(folder)}" is not used: ${(error as Error).message}; ` +
        `"deno task doctor" writes it anew`,
    );
    return undefined;
  }
}

/** Lets this process load llvmpipe with the width that is kept; who sets {@linkcode WIDTH_VARIABLE} decides. */
export function useKeptWidth(): void {
  if (Deno.build.os !== "linux" || Deno.env.get(WIDTH_VARIABLE)) return;
  const width = keptWidth();
  if (width !== undefined) Deno.env.set(WIDTH_VARIABLE, String(width));
}
