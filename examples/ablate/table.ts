/**
 * Tables of results: mean and standard deviation over seeds, paired differences to the first row, and what the paper found.
 *
 * @module
 */
import { paper, paperAbove, type PaperFigures, paperMean } from "./paper.ts";
import type { AblationResult } from "./result.ts";
import { type BySeed, type Difference, mean, pairedDifference, standardDeviation, verdict } from "./statistics.ts";

/** A table to show: runs by key, the first is the baseline. */
export interface Table {
  readonly title: string;
  readonly rows: readonly { readonly label: string; readonly run: string }[];
}

/** A column: a figure of a result. */
interface Measure {
  readonly title: string;
  readonly of: (result: AblationResult) => number | undefined;
}

/** Mean recall on the usual split in percent. */
export const meanRecall = {
  reranked: ({ usual }: AblationResult): number | undefined => usual.reranked?.mean,
  joint: ({ usual }: AblationResult): number | undefined => usual.joint?.mean,
  cosine: ({ usual }: AblationResult): number | undefined => usual.cosine.mean,
};

/** The mean over the last epoch's points, in percent. */
function lastRate(name: "falseNegatives" | "falsePositives"): Measure["of"] {
  return ({ curve }) => {
    const end = curve.at(-1)?.epoch ?? 0;
    const rates = curve.filter(({ epoch }) => epoch > end - 1).flatMap((point) => point[name] ?? []);
    return rates.length ? mean(rates) : undefined;
  };
}

const groups: readonly { readonly title: string; readonly measures: readonly Measure[] }[] = [
  {
    title: "Usual split, %",
    measures: [
      { title: "re-ranked, text R@1", of: (r) => r.usual.reranked?.i2t.r1 },
      { title: "re-ranked, image R@1", of: (r) => r.usual.reranked?.t2i.r1 },
      { title: "re-ranked, mean recall", of: meanRecall.reranked },
      { title: "by both, text R@1", of: (r) => r.usual.joint?.i2t.r1 },
      { title: "by both, image R@1", of: (r) => r.usual.joint?.t2i.r1 },
      { title: "by both, mean recall", of: meanRecall.joint },
      { title: "cosine, text R@1", of: (r) => r.usual.cosine.i2t.r1 },
      { title: "cosine, image R@1", of: (r) => r.usual.cosine.t2i.r1 },
      { title: "cosine, mean recall", of: meanRecall.cosine },
    ],
  },
  {
    title: "Among 8 near-duplicates (chance 12.5 %), and the run",
    measures: [
      { title: "cosine, text R@1, %", of: (r) => r.hard?.cosine.i2t },
      { title: "cosine, image R@1, %", of: (r) => r.hard?.cosine.t2i },
      { title: "re-ranked, text R@1, %", of: (r) => r.hard?.reranked?.i2t },
      { title: "re-ranked, image R@1, %", of: (r) => r.hard?.reranked?.t2i },
      { title: "by both, text R@1, %", of: (r) => r.hard?.joint?.i2t },
      { title: "by both, image R@1, %", of: (r) => r.hard?.joint?.t2i },
      { title: "matching accuracy, %", of: (r) => r.hard?.matching },
      { title: "false negatives, last epoch, %", of: lastRate("falseNegatives") },
      { title: "false positives, last epoch, %", of: lastRate("falsePositives") },
      { title: "s per epoch", of: (r) => r.secondsPerEpoch },
    ],
  },
];

/** A cell: its lines. */
type Cell = readonly string[];

/** A table as texts. */
export interface TextTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** A figure of a run by seed. */
export function bySeed(results: readonly AblationResult[], run: string, of: Measure["of"]): BySeed {
  return new Map(
    results.filter((r) => r.run === run).flatMap((r) => {
      const value = of(r);
      return value === undefined ? [] : [[r.seed, value] as const];
    }),
  );
}

/** How a table's rows are ranked: by the matching head if every result of the rows has it, otherwise by cosine. */
export function rankingOf({ rows }: Table, results: readonly AblationResult[]): "reranked" | "cosine" {
  const mine = results.filter(({ run }) => rows.some((row) => row.run === run));
  return mine.every(({ usual }) => usual.reranked) ? "reranked" : "cosine";
}

/** The texts of a table for results of one world, in two parts; columns without any value are left out. */
export function textTables(name: string, table: Table, results: readonly AblationResult[]): TextTable[] {
  const published = paper[name], first = table.rows[0]!.run, rank = meanRecall[rankingOf(table, results)];
  const rows = table.rows.filter(({ run }) => results.some((r) => r.run === run));
  return groups.flatMap(({ title, measures }, part) => {
    const shown = measures.filter(({ of }) =>
      results.some((r) => rows.some(({ run }) => run === r.run) && of(r) !== undefined)
    );
    const judged = part === 0 && published !== undefined &&
      Object.keys(published.figures).length + published.claims.length > 0;
    return {
      title,
      columns: [
        "Row",
        ...judged ? ["paper, COCO: text / image R@1, mean"] : [],
        ...shown.map((m) => m.title),
        ...judged ? ["order against the first row"] : [],
      ],
      rows: rows.map(({ label, run }) => {
        const seeds = bySeed(results, run, () => 0).size;
        const cells = shown.map(({ of }) =>
          cell(bySeed(results, run, of), run === first ? undefined : bySeed(results, first, of), seeds)
        );
        const above = published && paperAbove(published, run, first);
        return [
          [label, `${run}, ${seeds} ${seeds === 1 ? "seed" : "seeds"}`],
          ...judged ? [paperCell(published.figures[run])] : [],
          ...cells,
          ...judged
            ? [[
              run === first
                ? "baseline"
                : judge(pairedDifference(bySeed(results, run, rank), bySeed(results, first, rank)), above),
            ]]
            : [],
        ];
      }),
    };
  });
}

/** What the paper claims of a table's rows, with this world's difference in mean recall. */
export function claimLines(name: string, table: Table, results: readonly AblationResult[]): string[] {
  const rank = meanRecall[rankingOf(table, results)],
    label = (run: string) => table.rows.find((r) => r.run === run)?.label ?? run;
  return (paper[name]?.claims ?? []).flatMap(({ better, than, shows }) => {
    const difference = pairedDifference(bySeed(results, better, rank), bySeed(results, than, rank));
    return difference
      ? [`${label(better)} above ${label(than)} (${shows}): ${differenceText(difference)}, ${verdict(difference)}`]
      : [];
  });
}

function judge(difference: Difference | undefined, above: boolean | undefined): string {
  if (above === undefined) return "the paper does not say";
  return difference ? verdict(difference, above) : "no seed in common";
}

function cell(values: BySeed, baseline: BySeed | undefined, seeds: number): Cell {
  if (!values.size) return ["–"];
  const all = [...values.values()],
    sd = standardDeviation(all),
    difference = baseline && pairedDifference(values, baseline);
  const own = mean(all).toFixed(1) + (sd === undefined ? "" : ` ± ${sd.toFixed(1)}`) +
    (values.size < seeds ? ` (${values.size} of ${seeds})` : "");
  return difference ? [own, differenceText(difference)] : [own];
}

function differenceText({ mean, interval }: Difference): string {
  return signed(mean) + (interval ? ` [${signed(interval[0])}, ${signed(interval[1])}]` : "");
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}

function paperCell(figures: PaperFigures | undefined): Cell {
  if (!figures) return ["–"];
  return [`${figures.i2t[0].toFixed(1)} / ${figures.t2i[0].toFixed(1)}`, paperMean(figures).toFixed(1)];
}

/** A table in Markdown. */
export function markdown({ title, columns, rows }: TextTable): string {
  const line = (cells: readonly string[]) => `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  return [
    `**${title}**`,
    "",
    line(columns),
    line(columns.map(() => "---")),
    ...rows.map((row) => line(row.map((c) => c.join("; ")))),
  ].join("\n");
}

/** A text that HTML and SVG show as it is. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** A table in HTML. */
export function html({ title, columns, rows }: TextTable): string {
  const cells = (row: readonly Cell[]) =>
    row.map(([head = "", ...rest], i) => {
      const tag = i === 0 ? 'th scope="row"' : "td";
      return `<${tag}>${escapeHtml(head)}${rest.map((text) => `<small>${escapeHtml(text)}</small>`).join("")}</${
        tag.slice(0, 2)
      }>`;
    }).join("");
  return `<div class="wide"><table><caption>${escapeHtml(title)}</caption><thead><tr>${
    columns.map((text) => `<th scope="col">${escapeHtml(text)}</th>`).join("")
  }</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join("")}</tbody></table></div>`;
}
