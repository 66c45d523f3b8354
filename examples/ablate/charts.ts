/**
 * Charts of the ablations' results.
 *
 * @module
 */
import { colors, draw } from "../_charts.ts";
import { paper, paperMean } from "./paper.ts";
import type { AblationResult } from "./result.ts";
import { bySeed, meanRecall, rankingOf, type Table } from "./table.ts";

/** The results of a table's rows, with labels. */
function labelled(table: Table, results: readonly AblationResult[]): { row: string; result: AblationResult }[] {
  return table.rows.flatMap(({ label, run }) =>
    results.filter((r) => r.run === run).map((result) => ({ row: label, result }))
  );
}

/** Mean recall of the rows: seeds as dots, mean and standard deviation as bars, beside the paper's figure. */
export async function recallChart(name: string, table: Table, results: readonly AblationResult[]): Promise<string> {
  const rank = meanRecall[rankingOf(table, results)], figures = paper[name]?.figures ?? {};
  const rows = table.rows.filter(({ run }) => bySeed(results, run, rank).size), sort = rows.map(({ label }) => label);
  const own = rows.flatMap(({ label, run }) =>
    [...bySeed(results, run, rank).values()].map((value) => ({ row: label, value }))
  );
  const theirs = rows.flatMap(({ label, run }) => figures[run] ? [{ row: label, value: paperMean(figures[run]) }] : []);
  const y = { field: "row", type: "nominal", sort, title: null, scale: { domain: sort }, axis: { labelLimit: 0 } };
  const x = (title: string) => ({
    field: "value",
    type: "quantitative",
    title,
    scale: { zero: false, nice: true, padding: 12 },
  });
  const title = `here: mean recall ${rankingOf(table, results) === "cosine" ? "by cosine" : "after re-ranking"}, %`;
  const ours = {
    width: theirs.length ? 300 : 520,
    height: { step: 34 },
    data: { values: own },
    encoding: { y, x: x(title) },
    layer: [
      { mark: { type: "errorbar", extent: "stdev", ticks: true, color: "#555" } },
      { mark: { type: "point", filled: true, size: 45, opacity: 0.7, color: colors[6] } },
      {
        mark: { type: "tick", thickness: 3, size: 20, color: "black" },
        encoding: { x: { ...x(title), aggregate: "mean" } },
      },
    ],
  };
  const published = {
    width: 200,
    height: { step: 34 },
    data: { values: theirs },
    mark: { type: "point", shape: "diamond", filled: true, size: 90, color: colors[4] },
    encoding: { y: { ...y, axis: { labels: false, ticks: false } }, x: x("the paper: mean recall on COCO, %") },
  };
  return await draw(theirs.length ? { hconcat: [ours, published] } : ours);
}

/** Losses of the rows against epochs, the mean over seeds; a panel for each loss that some row has. */
export async function lossCurves(table: Table, results: readonly AblationResult[]): Promise<string> {
  const all = labelled(table, results), losses = ["loss", "itc", "itm", "mlm"] as const;
  const values = all.flatMap(({ row, result }) =>
    result.curve.flatMap((point) =>
      losses.flatMap((loss) =>
        point[loss] === undefined ? [] : {
          row,
          loss: loss === "loss" ? "total" : loss.toUpperCase(),
          epoch: point.step * result.batch / result.examples,
          step: point.step,
          value: point[loss],
        }
      )
    )
  );
  const domain = [...new Set(all.map(({ row }) => row))];
  return await draw({
    data: { values },
    transform: [{
      aggregate: [{ op: "mean", field: "value", as: "value" }, { op: "mean", field: "epoch", as: "epoch" }],
      groupby: ["row", "loss", "step"],
    }],
    facet: { field: "loss", type: "nominal", title: null, sort: ["total", "ITC", "ITM", "MLM"] },
    columns: 2,
    spec: {
      width: 350,
      height: 180,
      mark: { type: "line", strokeWidth: 1.6 },
      encoding: {
        x: { field: "epoch", type: "quantitative", title: "epoch" },
        y: { field: "value", type: "quantitative", title: "loss, nats", scale: { zero: false } },
        color: {
          field: "row",
          type: "nominal",
          title: null,
          scale: { domain, range: colors },
          legend: { orient: "bottom", columns: 2 },
        },
      },
    },
    resolve: { scale: { y: "independent" } },
  });
}

/** Usage of vision at 1 and 5 against the share of masked tokens; undefined if no row was measured. */
export async function visionChart(table: Table, results: readonly AblationResult[]): Promise<string | undefined> {
  const values = labelled(table, results).flatMap(({ row, result }) =>
    (result.vision ?? []).map((v) => ({ row, k: `UoV@${v.k}`, mask: 100 * v.mask, value: v.with - v.without }))
  );
  if (!values.length) return undefined;
  const domain = [...new Set(values.map(({ row }) => row))],
    y = { field: "value", type: "quantitative", title: "accuracy gained by the image, points" };
  const color = {
    field: "row",
    type: "nominal",
    title: null,
    scale: { domain, range: colors },
    legend: { orient: "bottom", columns: 2 },
  };
  return await draw({
    data: { values },
    facet: { column: { field: "k", type: "nominal", title: null } },
    spec: {
      width: 350,
      height: 240,
      encoding: { x: { field: "mask", type: "quantitative", title: "masked tokens, %" }, color },
      layer: [
        { mark: { type: "line", point: true }, encoding: { y: { ...y, aggregate: "mean" } } },
        { mark: { type: "errorbar", extent: "stdev" }, encoding: { y } },
      ],
    },
  });
}
