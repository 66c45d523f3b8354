/** Which vector width of Mesa's software driver is the faster one here. */
import { keepWidth, WIDTH_VARIABLE } from "../../src/io/vector_width.ts";

/** What one width came to. */
export interface WidthSpeed {
  /** As the driver names itself, with its width. */
  readonly adapter: string;
  /** Of a training step of `tiny` with a mini-batch of 8. */
  readonly milliseconds: number;
}

/** The driver's own width, and the one that it does not take by itself. */
const TRIED = [undefined, 512] as const;

/** A width that is not the driver's own must be this much faster: kernels for it take longer to compile. */
const WORTH = 1.05;

/** Measures a width in a process of its own (`undefined`: the driver's, as this process has set none); undefined where the adapter is another one than llvmpipe, or the process fails. */
async function measureWidth(width: number | undefined): Promise<WidthSpeed | undefined> {
  const { success, stdout } = await new Deno.Command("deno", {
    args: ["run", "--quiet", "--no-check", "--allow-read", "--allow-env", new URL("width.ts", import.meta.url).href],
    env: { GRITSTONE_CACHE: "off", ...(width === undefined ? {} : { [WIDTH_VARIABLE]: String(width) }) },
    stdin: "null",
    stderr: "null",
  }).output();
  return success ? JSON.parse(new TextDecoder().decode(stdout)) ?? undefined : undefined;
}

/** The width to be kept of those that were measured; undefined: the driver's own. */
export function fasterWidth([own, wide]: readonly WidthSpeed[]): 512 | undefined {
  if (!own || !wide || own.adapter === wide.adapter) return undefined;
  return own.milliseconds > WORTH * wide.milliseconds ? 512 : undefined;
}

/** Chooses the width for this process, which must not have touched WebGPU, and for later ones. */
export async function chooseWidth(show: (line: string) => void): Promise<readonly WidthSpeed[]> {
  const speeds: WidthSpeed[] = [];
  for (const width of TRIED) {
    const speed = await measureWidth(width);
    if (!speed) break;
    show(`${speed.adapter}: a training step takes ${speed.milliseconds.toFixed(1)} ms`);
    speeds.push(speed);
  }
  if (speeds.length < TRIED.length) return speeds;
  const width = fasterWidth(speeds);
  if (width === undefined) Deno.env.delete(WIDTH_VARIABLE);
  else Deno.env.set(WIDTH_VARIABLE, String(width));
  await keepWidth(width);
  return speeds;
}
