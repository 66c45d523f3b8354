/**
 * Compiles kernels on the adapter at hand: `compile.ts KERNELS STATISTICS` with a JSON list of kernels and the file to which
 * vulkan_shim.c appends what the driver says of each pipeline. Prints one JSON line a kernel.
 */
import { type Device, openDevice } from "../../src/gpu/device.ts";
import type { Collected } from "./collect.ts";

/** The list of kernels that a compiler is given. */
export type Kernels = readonly Collected[];

/** The driver's names and numbers of one program. */
export type Statistics = Readonly<Record<string, number | string>>;

/** What became of one kernel. */
export interface Compiled {
  /** Its place in the list. */
  readonly kernel: number;
  /** Why it was refused. */
  readonly error?: string;
  readonly milliseconds: number;
  /** One record for each program that the driver made of the kernel. */
  readonly statistics: readonly Statistics[];
}

/** Compiles one after the other; `statistics` gives those of the last. */
export async function compileAll(device: Device, kernels: Kernels, statistics: () => Statistics[]): Promise<void> {
  for (const [kernel, { name, code, signature }] of kernels.entries()) {
    const bindings = [...signature].map((kind) => kind === "u" ? { words: [] } : {}), start = performance.now();
    const error = await device.pipeline({ name, code, bindings }).then(() => undefined, (e: Error) => e.message);
    const milliseconds = Math.round(performance.now() - start);
    const compiled: Compiled = { kernel, milliseconds, ...(error ? { error } : {}), statistics: statistics() };
    console.log(JSON.stringify(compiled));
  }
}

/** The last line that was appended to a file since it was last asked. */
function appended(path: string): () => Statistics[] {
  let at = Deno.statSync(path).size;
  return () => {
    const text = new TextDecoder().decode(Deno.readFileSync(path).subarray(at));
    at = Deno.statSync(path).size;
    return JSON.parse(text.trim().split("\n").at(-1) || "[]");
  };
}

if (import.meta.main) {
  const [list, log] = Deno.args as [string, string];
  const device = await openDevice();
  await Deno.writeTextFile(log, "");
  await compileAll(device, JSON.parse(await Deno.readTextFile(list)), appended(log));
  Deno.exit(0);
}
