/**
 * Charts of the paper's kinds: scores against the start point, the share of images and the epochs of instruction tuning.
 *
 * @module
 */
import { colors, draw } from "../_charts.ts";
import type { Result } from "./result.ts";
import { variantWords } from "./variant.ts";

/** What a chart has along its axis, and as lines. */
interface Axes {
  readonly x: { readonly field: string; readonly title: string };
  readonly color: { readonly field: string; readonly title: string };
}

/** A point: a run after some epochs. */
interface Point {
  readonly start: number;
  readonly share: number;
  readonly epoch: number;
  readonly seed: number;
  readonly panel: string;
  readonly score: number;
}

const PANELS = ["vision", "text", "mean of both"];

/** The points of the usual runs with images' own captions; of the variants, where there is nothing else. */
export function pointsOf(results: readonly Result[]): Point[] {
  const own = results.filter(({ captions }) => captions === "own"), usual = own.filter((run) => !variantWords(run));
  return (usual.length ? usual : own).flatMap(({ start, share, seed, epochs }) =>
    epochs.flatMap(({ epoch, scores }) =>
      ([scores.vision, scores.text, scores.mean] as const).map((score, i): Point => ({
        start: 100 * start,
        share: 100 * share,
        epoch,
        seed,
        panel: PANELS[i]!,
        score: 100 * score,
      }))
    )
  );
}

/** Three panels; lines are means over seeds, bars standard deviations, dots seeds. */
async function panels(values: readonly Point[], { x, color }: Axes): Promise<string> {
  const along = { field: x.field, type: "quantitative", title: x.title, scale: { padding: 12, nice: false } };
  const y = { field: "score", type: "quantitative", title: "score, % (chance 0)", scale: { zero: false } };
  const lines = {
    field: color.field,
    type: "nominal",
    title: color.title,
    scale: { range: colors },
    sort: "ascending",
  };
  return await draw({
    data: { values },
    facet: { column: { field: "panel", type: "nominal", title: null, sort: PANELS } },
    spec: {
      width: 260,
      height: 220,
      encoding: { x: along, color: lines },
      layer: [
        { mark: { type: "line" }, encoding: { y: { ...y, aggregate: "mean" } } },
        { mark: { type: "errorbar", extent: "stdev" }, encoding: { y } },
        { mark: { type: "point", filled: true, size: 30, opacity: 0.7 }, encoding: { y } },
      ],
    },
    resolve: { scale: { y: "independent" } },
  });
}

/** The charts by name, as SVG. */
export async function charts(results: readonly Result[]): Promise<Map<string, string>> {
  const all = pointsOf(results),
    last = Math.max(...all.map(({ epoch }) => epoch)),
    end = all.filter(({ epoch }) => epoch === last);
  const start = { field: "start", title: "images enter at % of the main run" },
    share = { field: "share", title: "images, % of tokens" };
  const least = smallestShare(all), epochs = all.filter((point) => point.share === least);
  return new Map([
    ["start", await panels(end, { x: start, color: share })],
    ["share", await panels(end, { x: share, color: start })],
    [
      "epochs",
      await panels(epochs, { x: { field: "epoch", title: `epochs of tuning (images ${least} %)` }, color: start }),
    ],
  ]);
}

/** The smallest share of images that is not 0: the paper's choice is 10 %. */
function smallestShare(points: readonly Point[]): number {
  const shares = points.map(({ share }) => share).filter((share) => share > 0);
  return shares.length ? Math.min(...shares) : 0;
}
