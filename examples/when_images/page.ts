/**
 * One HTML file with charts and tables of results, and the charts as PNG.
 *
 * @module
 */
import { writeFileAtomic } from "../../mod.ts";
import { mean, standardDeviation } from "../ablate/statistics.ts";
import { escapeHtml } from "../ablate/table.ts";
import { png } from "../_charts.ts";
import { htmlPage } from "../_page.ts";
import { charts } from "./charts.ts";
import { type Run, runName } from "./plan.ts";
import type { Epoch, Result } from "./result.ts";
import { variantWords } from "./variant.ts";

/** A table: titles of its columns, then rows. */
type Table = readonly (readonly string[])[];

const titles: Readonly<Record<string, string>> = {
  start: "Against the point at which images enter",
  share: "Against the share of images",
  epochs: "Against the epochs of instruction tuning",
};

/**
 * Writes `index.html`, `tables.md` and a PNG of each chart into a folder, which is made.
 *
 * @returns The paths of the files; none if there are no results.
 * @throws {RangeError} If a run is there twice, or runs differ in their steps.
 */
export async function writePage(folder: string, results: readonly Result[]): Promise<string[]> {
  if (!results.length) return [];
  checkRuns(results);
  await Deno.mkdir(folder, { recursive: true });
  const files = new Map<string, string | Uint8Array>(), drawn = await charts(results), tables = tablesOf(results);
  for (const [name, svg] of drawn) files.set(`${name}.png`, await png(svg));
  files.set(
    "tables.md",
    [
      "# When should a language model see images?",
      NOTE,
      ...Object.entries(tables).flatMap(([title, rows]) => [`## ${title}`, markdown(rows)]),
      ...about(results),
    ].join("\n\n") + "\n",
  );
  files.set(
    "index.html",
    htmlPage("When images?", [
      "<h1>When should a language model see images?</h1>",
      `<p>${NOTE}</p>`,
      ...[...drawn].map(([name, svg]) => `<h2>${titles[name]}</h2><figure id="${name}">${svg}</figure>`),
      ...Object.entries(tables).map(([title, rows]) => `<h2>${title}</h2><div class="wide">${html(rows)}</div>`),
      `<ul>${about(results).map((line) => `<li><code>${escapeHtml(line)}</code></li>`).join("")}</ul>`,
    ]),
  );
  for (const [name, data] of files) await writeFileAtomic(`${folder}/${name}`, data);
  return [...files.keys()].map((name) => `${folder}/${name}`);
}

const NOTE = "Scores are 0 at chance and 100 where all is right; vision and text are means over their figures. " +
  "Cells are means ± standard deviations over seeds, after the last epoch of instruction tuning where nothing else is said.";

/** All tables by title. */
export function tablesOf(results: readonly Result[]): Record<string, Table> {
  return { Scores: scoreTable(results), Figures: figureTable(results), "Controls": controlTable(results) };
}

/** Runs that differ in their seeds only, in order. */
function groups(results: readonly Result[]): [Run, Result[]][] {
  const by = Map.groupBy(results, (result) => runName({ ...result, seed: 0 }));
  return [...by.values()].map((own): [Run, Result[]] => [own[0]!, own])
    .sort(([a], [b]) =>
      variantWords(a).localeCompare(variantWords(b)) || a.captions.localeCompare(b.captions) || a.share - b.share ||
      a.start - b.start
    );
}

const last = ({ epochs }: Result): Epoch => epochs.at(-1)!;
const labelOf = ({ start, share, captions, ...variant }: Run): string[] => [
  `${100 * start} %`,
  `${100 * share} %${captions === "own" ? "" : " shuffled"}${variantWords(variant)}`,
];

function scoreTable(results: readonly Result[]): Table {
  const rows = groups(results).map(([run, own]) => [
    ...labelOf(run),
    String(own.length),
    ...(["vision", "text", "mean"] as const).map((name) => spread(own.map((r) => 100 * last(r).scores[name]))),
    spread(own.map((r) => 100 * r.epochs[0]!.scores.vision)),
    spread(own.map((r) => 100 * r.epochs[0]!.scores.text)),
  ]);
  return [[
    "images enter at",
    "images",
    "seeds",
    "vision",
    "text",
    "mean",
    "vision before tuning",
    "text before tuning",
  ], ...rows];
}

function figureTable(results: readonly Result[]): Table {
  const { text, vision } = last(results[0]!), names = [...Object.keys(vision), ...Object.keys(text)];
  const of = (result: Result, name: string) => last(result).vision[name] ?? last(result).text[name]!;
  const chance = names.map((name) => (100 * mean(results.map((r) => of(r, name).chance))).toFixed(1));
  const rows = groups(results).map(([run, own]) => [
    ...labelOf(run),
    ...names.map((name) => spread(own.map((r) => 100 * of(r, name).value))),
    spread(own.map((r) => Math.exp(last(r).loss)), 2),
  ]);
  return [["images enter at", "images", ...names, "perplexity"], ["chance", "", ...chance, ""], ...rows];
}

/** What is left without the picture: figures with and without its content. */
function controlTable(results: readonly Result[]): Table {
  const names = Object.keys(last(results[0]!).blank);
  const rows = groups(results).map(([run, own]) => [
    ...labelOf(run),
    ...names.flatMap((name) => [
      (100 * mean(own.map((r) => last(r).blank[name]!.chance))).toFixed(1),
      spread(own.map((r) => 100 * last(r).blank[name]!.value)),
      spread(own.map((r) => 100 * last(r).vision[name]!.value)),
    ]),
  ]);
  const columns = names.flatMap((name) => [`${name}: most frequent`, `${name}: blank picture`, `${name}: picture`]);
  return [["images enter at", "images", ...columns], ...rows];
}

function spread(values: readonly number[], digits = 1): string {
  const deviation = standardDeviation(values);
  return mean(values).toFixed(digits) + (deviation === undefined ? "" : ` ± ${deviation.toFixed(digits)}`);
}

function markdown([titles, ...rows]: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(titles!), line(titles!.map(() => "---")), ...rows.map(line)].join("\n");
}

function html([titles, ...rows]: Table): string {
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  return `<table>${row(titles!, "th")}${rows.map((cells) => row(cells, "td")).join("")}</table>`;
}

/** How results were made, each fact once. */
function about(results: readonly Result[]): string[] {
  const each = (of: (result: Result) => unknown) => [...new Set(results.map(of))].join(", ");
  const facts = (["command", "commit", "adapter", "seed"] as const).map((key) => `${key}: ${each((r) => r[key])}`);
  const seconds = results.reduce((sum, r) => sum + r.seconds, 0);
  return [
    ...facts,
    `steps: ${each(({ steps }) => JSON.stringify(steps))}`,
    `seconds of all runs: ${seconds.toFixed(0)}`,
  ];
}

/** Runs with the same tuning must have the same steps. @throws {RangeError} If they differ, or a run is there twice. */
export function checkRuns(results: readonly Result[]): void {
  const seen = new Set<string>(), stepsOf = new Map<number, Result["steps"]>(); // of each share of texts in tuning
  for (const result of results) {
    const name = runName(result);
    if (seen.has(name)) throw new RangeError(`Cannot average runs: each must be there once: "${name}" is there twice`);
    const { steps, tuneText = 0 } = result, others = stepsOf.get(tuneText) ?? steps;
    stepsOf.set(tuneText, others);
    if (JSON.stringify(steps) !== JSON.stringify(others)) {
      throw new RangeError(`Cannot compare runs: all must have the same steps: those of "${name}" differ`);
    }
    seen.add(name);
  }
}
