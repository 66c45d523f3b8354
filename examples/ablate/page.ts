/**
 * One HTML file with the tables and charts of results, and the charts as PNG.
 *
 * @module
 */
import { writeFileAtomic } from "../../mod.ts";
import { png } from "../_charts.ts";
import { htmlPage } from "../_page.ts";
import { lossCurves, recallChart, visionChart } from "./charts.ts";
import { paper } from "./paper.ts";
import { type AblationResult, WORLDS } from "./result.ts";
import { claimLines, escapeHtml, html, markdown, type Table, textTables } from "./table.ts";

/** The one that is a chart of usage of vision and no table of recalls. */
const VISION = "figure4";

/**
 * Writes `index.html`, `tables.md` and a PNG of each chart into a folder, which is made. Tables without results of their own are left out.
 *
 * @param figure1 An SVG of anchors and negatives; without it the one that is in the folder stays.
 * @returns The paths of the files.
 * @throws {RangeError} If a run of a world has a seed twice, or its seeds differ in steps, batch or examples.
 */
export async function writePage(
  folder: string,
  tables: Readonly<Record<string, Table>>,
  results: readonly AblationResult[],
  figure1?: string,
): Promise<string[]> {
  checkRuns(results);
  await Deno.mkdir(folder, { recursive: true });
  const files = new Map<string, string | Uint8Array>(), sections: string[] = [], texts: string[] = [];
  const figure = figure1 ?? await Deno.readTextFile(`${folder}/figure-1.svg`).catch(() => undefined);
  if (figure1) files.set("figure-1.svg", figure1).set("figure-1.png", await png(figure1));
  if (figure) sections.push(`<h2>Figure 1: negatives (scenes)</h2><figure id="figure-1">${figure}</figure>`);
  const shown = new Map(WORLDS.map((world) => [world, new Set<string>()]));
  for (const [name, table] of Object.entries(tables)) {
    for (const world of WORLDS) {
      const mine = results.filter((r) => r.world === world && table.rows.some(({ run }) => run === r.run));
      const told = shown.get(world)!;
      if (!mine.length || name !== VISION && mine.every(({ run }) => told.has(run))) continue; // other tables have said it all
      mine.forEach(({ run }) => told.add(run));
      const title = `${table.title} (${world})`,
        vision = name === VISION,
        parts = vision ? [] : textTables(name, table, mine),
        claims = claimLines(name, table, mine);
      const about = provenance(mine);
      const charts = vision
        ? { vision: await visionChart(table, mine) }
        : { recall: await recallChart(name, table, mine), loss: await lossCurves(table, mine) };
      const pictures = Object.entries(charts).filter((entry): entry is [string, string] => entry[1] !== undefined);
      for (const [kind, svg] of pictures) files.set(`table-${name}-${world}-${kind}.png`, await png(svg));
      const source = paper[name] ? `The paper: ${paper[name].source}.` : "Not in the paper.";
      sections.push(
        `<h2>${escapeHtml(title)}</h2><p>${escapeHtml(source)}</p>`,
        ...parts.map(html),
        `<ul>${claims.map((text) => `<li>${escapeHtml(text)}</li>`).join("")}</ul>`,
        ...pictures.map(([kind, svg]) => `<figure id="table-${escapeHtml(name)}-${world}-${kind}">${svg}</figure>`),
        `<ul>${about.map((text) => `<li><code>${escapeHtml(text)}</code></li>`).join("")}</ul>`,
      );
      texts.push(
        `## ${title}`,
        source,
        ...parts.map(markdown),
        claims.map((t) => `- ${t}`).join("\n"),
        about.map((t) => `- ${t}`).join("\n"),
      );
    }
  }
  const note =
    "Cells are means ± standard deviations over seeds; below, the mean paired difference to the first row with its 95 % " +
    "confidence interval by Student's t. An order is separated if 0 is outside the interval of mean recall.";
  files.set(
    "index.html",
    htmlPage("Ablations", ["<h1>GRIT-VLP's ablations</h1>", `<p>${note}</p>`, ...sections]),
  );
  files.set("tables.md", ["# GRIT-VLP's ablations", note, ...texts].filter((t) => t).join("\n\n") + "\n");
  for (const [name, data] of files) await writeFileAtomic(`${folder}/${name}`, data);
  return [...files.keys()].map((name) => `${folder}/${name}`);
}

/** How results were made, each fact once. */
function provenance(results: readonly AblationResult[]): string[] {
  const keys = ["command", "commit", "adapter", "seed", "steps", "batch", "examples"] as const;
  return keys.map((key) => `${key}: ${[...new Set(results.map((r) => r[key]))].join(", ")}`);
}

function checkRuns(results: readonly AblationResult[]): void {
  const seen = new Map<string, AblationResult>();
  for (const result of results) {
    const { world, run, seed, steps, batch, examples } = result, first = seen.get(`${world} ${run}`);
    if (first && (first.steps !== steps || first.batch !== batch || first.examples !== examples)) {
      throw new RangeError(
        `Cannot average ${run} (${world}): steps, batch and examples of its seeds must be equal: seed ${seed} differs`,
      );
    }
    if (seen.has(`${world} ${run} ${seed}`)) {
      throw new RangeError(
        `Cannot average ${run} (${world}): each seed must be there once: seed ${seed} is there twice`,
      );
    }
    seen.set(`${world} ${run}`, result).set(`${world} ${run} ${seed}`, result);
  }
}
