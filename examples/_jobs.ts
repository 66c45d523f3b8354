/**
 * Runs of an experiment: several at a time, in processes of their own, and where results come from.
 *
 * @module
 */

/** Does all works, so many at a time. */
export async function inTurns(jobs: number, works: readonly (() => Promise<unknown>)[]): Promise<void> {
  const queue = [...works];
  await Promise.all(Array.from({ length: jobs }, async () => {
    for (let work = queue.shift(); work; work = queue.shift()) await work();
  }));
}

/** Says after each of so many runs how many are done, which it was, and how long the rest takes at this rate. */
export function countDown(runs: number, say: (line: string) => void): (name: string) => void {
  const began = performance.now();
  let finished = 0;
  return (name) => {
    const minutes = (performance.now() - began) / 6e4, rest = minutes / ++finished * (runs - finished);
    say(`${finished}/${runs} ${name}; ${rest.toFixed(1)} min left`);
  };
}

/** Runs a script in a process of its own. @throws {Error} If it fails, with the end of what it said. */
export async function runScript(path: string, args: readonly string[]): Promise<void> {
  const child = new Deno.Command("deno", {
    args: ["run", "-A", "--cached-only", new URL(`../${path}`, import.meta.url).pathname, ...args],
    stdout: "null",
    stderr: "piped",
  });
  const { success, stderr } = await child.output();
  if (!success) throw new Error(`${path} ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr).slice(-2000)}`);
}

/** The commit of the code, "unknown" where there is no git or it may not be run. */
export async function commit(): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("git", { args: ["rev-parse", "--short", "HEAD"], stderr: "null" })
      .output();
    return new TextDecoder().decode(stdout).trim() || "unknown";
  } catch {
    return "unknown";
  }
}
