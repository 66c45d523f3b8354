/** Results as one HTML file: photos small and embedded, linked to the files; where asked, the words' maps over them. */
import { relative, resolve } from "node:path";
import sharp from "npm:sharp@0.35.5";
import {
  cleanCaption,
  GroundingEvaluator,
  groundingLayer,
  mapPictures,
  type Matcher,
  type PairEncoder,
  wordMaps,
} from "../../mod.ts";
import type { OpenedRun } from "../_open_run.ts";
import { escapeHtml } from "../ablate/table.ts";
import type { Found } from "./rank.ts";

/** What the page shows beside the results. */
export interface PageOptions {
  /** Folder of the photos, a whole path. */
  readonly folder: string;
  readonly text: string | undefined;
  readonly image: string | undefined;
  /** Whether each photo has the maps of the text's words. */
  readonly words: boolean;
  readonly run: OpenedRun;
  readonly encoder: PairEncoder<Matcher>;
}

/** Longer sides of what is embedded, pixels. */
const THUMBNAIL = 480, MAP = 320;

const style = `:root{color-scheme:light dark}*{box-sizing:border-box}
body{font:16px/1.45 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:1500px;background:Canvas;color:CanvasText}
h1{font-size:1.4rem;margin:.3rem 0;overflow-wrap:anywhere}p{margin:.3rem 0;overflow-wrap:anywhere}
header{display:flex;flex-wrap:wrap;gap:1rem;align-items:center;margin-bottom:1rem}header img{max-height:8rem;max-width:100%;border-radius:6px}
ol{list-style:none;margin:0;padding:0;display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr))}
li{border:1px solid color-mix(in srgb,CanvasText 25%,Canvas);border-radius:8px;overflow:hidden;display:flex;flex-direction:column}
a{color:inherit}a:focus-visible,summary:focus-visible{outline:3px solid Highlight;outline-offset:2px}
.photo img{display:block;width:100%;aspect-ratio:4/3;object-fit:contain;background:color-mix(in srgb,CanvasText 8%,Canvas)}
.about{padding:.5rem .7rem}.about p{margin:0}.scores{font-variant-numeric:tabular-nums}
small{opacity:.8}details{padding:0 .7rem .6rem}summary{cursor:pointer;padding:.25rem 0}
.maps{display:grid;gap:.4rem;grid-template-columns:repeat(auto-fill,minmax(6.5rem,1fr))}
figure{margin:0}figure img{display:block;width:100%;border-radius:4px}figcaption{font-size:.85rem;overflow-wrap:anywhere}`;

/** The page, which is to be written to `path`. */
export async function resultsPage(path: string, found: readonly Found[], options: PageOptions): Promise<string> {
  const { text, image, folder } = options, reranked = found.some(({ match }) => match !== undefined);
  const title = text === undefined ? "Photos like this one" : `Photos for “${text}”`;
  const asked = image === undefined ? "" : `<img src="${await embedded(image)}" alt="The photo that was asked for">`;
  const order = reranked ? "in the order of the matching head, then of the cosine" : "in the order of the cosine";
  const { config } = options.run, items: string[] = [];
  const grounding = options.words
    ? new GroundingEvaluator(config, { layer: groundingLayer(config, "words") })
    : undefined;
  for (const result of found) items.push(await item(path, result, options, grounding));
  grounding?.destroy();
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${style}</style>
<body><header>${asked}<div><h1>${escapeHtml(title)}${
    text !== undefined && image !== undefined ? ", like this one" : ""
  }</h1>
<p>${found.length} ${found.length === 1 ? "result" : "results"}, ${order}. <small>Photos of ${
    escapeHtml(folder)
  }; model ${escapeHtml(options.run.file.path)}</small></p></div></header>
<main><ol>
${items.join("\n")}
</ol></main></body></html>
`;
}

async function item(
  page: string,
  { rank, photo, cosine, match }: Found,
  { folder, text, words, run, encoder }: PageOptions,
  grounding: GroundingEvaluator | undefined,
): Promise<string> {
  const file = `${folder}/${photo.path}`, src = await embedded(file).catch(() => undefined);
  const picture = src === undefined
    ? `<p class="about">This photo cannot be shown.</p>`
    : `<a class="photo" href="${escapeHtml(link(page, file))}"><img src="${src}" alt="Result ${rank}: ${
      escapeHtml(photo.path)
    }" loading="lazy"></a>`;
  const scores = [
    ...(match === undefined ? [] : [`match ${(100 * match).toFixed(1)} %`]),
    `cosine ${cosine.toFixed(3)}`,
  ];
  const maps = grounding && src !== undefined && text !== undefined
    ? await mapsOf(file, text, grounding, run, encoder)
    : "";
  return `<li>${picture}<div class="about"><p><strong>${rank}.</strong> ${
    escapeHtml(photo.path)
  }</p><p class="scores"><small>${scores.join(" · ")}</small></p></div>${words ? maps : ""}</li>`;
}

/** Where each word of the text is in the photo. */
async function mapsOf(
  photo: string,
  text: string,
  grounding: GroundingEvaluator,
  { params, tokenizer }: OpenedRun,
  encoder: PairEncoder<Matcher>,
): Promise<string> {
  const [maps] = await grounding.maps(params, await encoder.pixels([photo]), encoder.tokens([text]));
  const words = wordMaps(tokenizer, cleanCaption(text), maps!.words!);
  const pictures = await mapPictures({ photo, map: maps!.map, words }, { side: MAP });
  const names = ["all words", ...words.map(({ word }) => word)];
  const figures = await Promise.all(pictures.map(async ({ png }, i) => {
    const name = escapeHtml(names[i]!), src = dataUrl(await sharp(png).webp({ quality: 75 }).toBuffer());
    return `<figure><img src="${src}" alt="Map of ${name} over the photo: lighter is more" loading="lazy"><figcaption>${name}</figcaption></figure>`;
  }));
  return `<details open><summary>Where the words are</summary><div class="maps">${figures.join("")}</div></details>`;
}

/** A photo made small, as a data: URL. Its orientation tag is heeded: it is for people. */
async function embedded(path: string): Promise<string> {
  const image = sharp(path, { limitInputPixels: 2 ** 26 }).rotate();
  const small = image.resize({ width: THUMBNAIL, height: THUMBNAIL, fit: "inside", withoutEnlargement: true });
  return dataUrl(await small.webp({ quality: 75 }).toBuffer());
}

function dataUrl(webp: Uint8Array): string {
  return `data:image/webp;base64,${webp.toBase64()}`;
}

/** The file from where the page is. */
function link(page: string, file: string): string {
  const parts = relative(resolve(page, ".."), file).split(/[/\\]/);
  return parts.map(encodeURIComponent).join("/");
}
