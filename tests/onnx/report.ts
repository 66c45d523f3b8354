/** Outcomes as text. */
import type { Outcome } from "./judge.ts";

const RESULTS = ["passed", "failed", "error", "not expressible"] as const;

/** A line for each operator with its counts, and below it the reasons of what is not expressible. */
export function byOperator(outcomes: readonly Outcome[]): string[] {
  const groups = Map.groupBy(outcomes, (o) => o.operator);
  const rows = [...groups].sort(([a], [b]) => a.localeCompare(b)).flatMap(([operator, own]) => [
    [operator, ...RESULTS.map((r) => String(own.filter((o) => o.result === r).length))].map((text, i) =>
      i ? text.padStart(8) : text.padEnd(40)
    ).join(""),
    ...reasonsOf(own).map(([reason, count]) => `    not expressible: ${reason} (${count})`),
  ]);
  return [`${"operator".padEnd(40)}  passed  failed   error     not`, ...rows];
}

/** Reasons with the number of tests, the most frequent first. */
function reasonsOf(outcomes: readonly Outcome[]): [string, number][] {
  const left = outcomes.filter((o) => o.result === "not expressible");
  return [...Map.groupBy(left, (o) => o.reason!)].map(([r, own]): [string, number] => [r, own.length])
    .sort((a, b) => b[1] - a[1]);
}

/** The last lines: reasons over all, and the counts. */
export function summary(outcomes: readonly Outcome[], seconds: number): string[] {
  const counts = RESULTS.map((r) => outcomes.filter((o) => o.result === r).length);
  const share = (100 * counts[0]! / Math.max(1, outcomes.length)).toFixed(1);
  return [
    "",
    ...reasonsOf(outcomes).map(([reason, count]) => `${String(count).padStart(5)} not expressible: ${reason}`),
    "",
    `${outcomes.length} tests: ${counts[0]} passed (${share} %), ${counts[1]} failed, ${counts[2]} errors, ` +
    `${counts[3]} not expressible, ${seconds.toFixed(0)} s`,
  ];
}
