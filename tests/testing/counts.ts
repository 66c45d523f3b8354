/** How many tests passed and failed and which were ignored, from what `deno test` printed. */

/** Counts of tests. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  /** Names of the tests that were not run; they tell why. */
  readonly ignored: readonly string[];
}

/**
 * Counts of a run of `deno test` that printed `output` (without colours). A run that ended without its summary, by a signal
 * or an error outside of the tests, counts as one more failure, and so does a summary without failures from a run that failed.
 */
export function countTests(output: string, success: boolean): Counts {
  const ignored = Array.from(output.matchAll(/^(.*?) \.\.\. .*?ignored \(\d+\S*\)$/gm), ([, name]) => name!);
  const summaries = output.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm);
  const [, passed, failed] = [...summaries].at(-1) ?? [];
  if (passed === undefined) {
    const lines = (ending: RegExp) => output.split("\n").filter((line) => ending.test(line)).length;
    return { passed: lines(/ok \(\d+\S*\)$/), failed: lines(/FAILED \(\d+\S*\)$/) + 1, ignored };
  }
  const uncounted = !success && failed === "0" ? 1 : 0;
  return { passed: Number(passed), failed: Number(failed) + uncounted, ignored };
}

/** Counts of several runs together. */
export function addCounts(all: readonly Counts[]): Counts {
  const sum = (of: (counts: Counts) => number): number => all.reduce((total, counts) => total + of(counts), 0);
  return {
    passed: sum((counts) => counts.passed),
    failed: sum((counts) => counts.failed),
    ignored: all.flatMap((counts) => counts.ignored),
  };
}

/** The last lines of the gate: what was ignored, if anything, and alone on the last one what passed and failed. */
export function summary({ passed, failed, ignored }: Counts): string {
  const names = ignored.length ? `${ignored.length} ignored: ${ignored.join("; ")}\n` : "";
  return `${names}${passed} passed, ${failed} failed`;
}
