/** How many tests passed, failed and were ignored, from what `deno test` printed. */

/** Counts of tests. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Counts of a run of `deno test` that printed `output` (without colours). A run that ended without its summary, by a signal
 * or an error outside of the tests, counts as one more failure, and so does a summary without failures from a run that failed.
 */
export function countTests(output: string, success: boolean): Counts {
  const summaries = output.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(?:.*?\| (\d+) ignored)?/gm);
  const [, passed, failed, ignored = "0"] = [...summaries].at(-1) ?? [];
  if (passed === undefined) {
    const lines = (ending: RegExp) => output.split("\n").filter((line) => ending.test(line)).length;
    return {
      passed: lines(/ok \(\d+\w*\)$/),
      failed: lines(/FAILED \(\d+\w*\)$/) + 1,
      skipped: lines(/ignored \(\d+\w*\)$/),
    };
  }
  const uncounted = !success && failed === "0" ? 1 : 0;
  return { passed: Number(passed), failed: Number(failed) + uncounted, skipped: Number(ignored) };
}

/** Whether the summary of tests that all passed is the last that a run printed. */
export function endedAfterTests(output: string): boolean {
  return /^ok \| \d+ passed.* \| 0 failed.*$/.test(output.trimEnd().split("\n").at(-1)!);
}

/** The last line of the gate. */
export function summary({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`;
}
