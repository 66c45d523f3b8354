/** Runs that are killed on their way, and what they leave. */
import { sha256IfThere } from "../../src/io/files.ts";

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** When a run is killed, and how. */
export interface Aim {
  readonly signal: Deno.Signal;
  /** The step that the run must have told of. Clocks say little on a busy machine. */
  readonly after: number;
  /** What must hold beside that. */
  readonly ready?: () => boolean;
  /** Milliseconds to wait then. @default 0 */
  readonly delay?: number;
}

/** How a run that was to be killed has ended. */
export interface Killed {
  /** 0 if the run was faster than the signal. */
  readonly status: number;
  /** The last step that it told of. */
  readonly step: number;
}

/** Kills a run, whose standard output and error are piped, once it is where it is aimed at, and waits for its end. */
export async function killRun(
  child: Deno.ChildProcess,
  { signal, after, ready = () => true, delay = 0 }: Aim,
): Promise<Killed> {
  const stdout = new Response(child.stdout).text();
  let ended = false, step = 0;
  const status = child.status.finally(() => ended = true);
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      for (const [, at] of text.matchAll(/ step (\d+)\//g)) step = Number(at);
    }
  })();
  while (!ended && (step < after || !ready())) await wait(1);
  await wait(delay);
  if (!ended) child.kill(signal);
  const { code } = await status;
  await Promise.all([reading, stdout]);
  return { status: code, step };
}

/** The hash of a run's checkpoint after so many steps, undefined if there is none. */
export async function checkpointHash(out: string, steps: number): Promise<string | undefined> {
  return await sha256IfThere(`${out}/step-${String(steps).padStart(8, "0")}.safetensors`);
}
