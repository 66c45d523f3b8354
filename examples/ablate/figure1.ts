/**
 * The paper's figure 1 on our scenes: images with a random text, the hardest negative of a random mini-batch, and the hardest of a
 * mini-batch that GRIT has grouped, by the features of the common start.
 */
import {
  type Albef,
  albefPairs,
  albefSpec,
  compile,
  gpuGrouping,
  GritSampler,
  initialize,
  mapTree,
  type RetrievalSet,
  retrievalSet,
  type Tensor,
  tensor,
  toHost,
  type Tree,
} from "../../mod.ts";
import { escapeHtml } from "./table.ts";
import type { Start } from "./run.ts";
import type { World } from "./world.ts";

/** Anchors, and mini-batches that their negatives come from. */
const ANCHORS = 5, BATCHES = 30;

/** A pair that an anchor is compared with. */
interface Choice {
  readonly pair: number;
  /** Cosine of the anchor's image and this text; without one for the anchor itself. */
  readonly cosine?: number;
}

/** The figure as SVG, pictures inside. */
export async function figure1(world: World, start: Start): Promise<string> {
  const { training, tokenizer, config, textLength, budget: { batch, subQueue } } = world;
  const count = Math.min(Math.floor(training.length / batch), BATCHES) * batch;
  const { resolution } = config.vision;
  const set = retrievalSet(training, tokenizer, { resolution, maxLength: textLength, captions: 1, images: count });
  const features = await featuresOf(world, start, set, batch);
  const queue = Math.ceil(count / subQueue) * subQueue;
  const sampler = new GritSampler({ examples: count, miniBatch: batch, subQueue, queue, seed: 1 });
  const batches = (): Int32Array[] => Array.from({ length: sampler.steps }, (_, k) => sampler.batch(k));
  const random = batches(), rows = random.flatMap((indices) => [...indices]);
  for (const indices of random) sampler.collect(indices);
  const group = gpuGrouping(), d = config.embedding;
  const queued = (side: Float32Array): Tensor => {
    const values = new Float32Array(queue * d);
    rows.forEach((row, at) => values.set(side.subarray(row * d, (row + 1) * d), at * d));
    return tensor(values, [queue, d]);
  };
  sampler.accept(await group(queued(features.image), queued(features.text), sampler.grouping()));
  group.destroy();
  sampler.nextPass();
  const grouped = batches();
  const hardest = (anchor: number, batches: readonly Int32Array[]): Choice => {
    const others = [...batches.find((b) => b.includes(anchor)) ?? []].filter((pair) => pair !== anchor);
    return others.map((pair) => ({ pair, cosine: cosine(features, d, anchor, pair) }))
      .reduce((a, b) => b.cosine > a.cosine ? b : a);
  };
  const rest = new Set(grouped.flatMap((b) => [...b])); // a last example may be in no mini-batch
  const anchors = rows.filter((row) => rest.has(row)).slice(0, ANCHORS);
  const columns = anchors.map((anchor, i): Choice[] => {
    const other = rows.at(-1 - i)!;
    return [
      { pair: anchor },
      { pair: other, cosine: cosine(features, d, anchor, other) },
      hardest(anchor, random),
      hardest(anchor, grouped),
    ];
  });
  return await draw(world, columns);
}

async function featuresOf({ config }: World, start: Start, set: RetrievalSet, batch: number) {
  const model = albefPairs(config), { ids, mask, length } = set.texts;
  const own = mapTree(initialize(albefSpec(config), 0), (t, name) => tensor(start.get(name)!, t.shape));
  const encode = compile((p: Albef & Tree, images: Tensor, ids: Tensor, mask: Tensor) => ({
    image: model.image(p, images).features,
    text: model.text(p, { ids, mask }).features,
  }));
  const features = { image: [] as number[], text: [] as number[] };
  for (let from = 0; from < set.images.count; from += batch) {
    const at = Array.from({ length: batch }, (_, i) => from + i), shape = [batch, length];
    const cut = (values: ArrayLike<number>) => Array.from(values).slice(from * length, (from + batch) * length);
    const words = [tensor(Uint32Array.from(cut(ids)), shape), tensor(cut(mask), shape)] as const;
    const { image, text } = await encode(own as Albef & Tree, await set.images.load(at), ...words);
    const [u, v] = await toHost([image, text]);
    features.image.push(...u!), features.text.push(...v!);
  }
  encode.destroy();
  return { image: Float32Array.from(features.image), text: Float32Array.from(features.text) };
}

type Features = Awaited<ReturnType<typeof featuresOf>>;

/** Of an image and a text. */
function cosine({ image, text }: Features, d: number, i: number, j: number): number {
  let sum = 0;
  for (let k = 0; k < d; k++) sum += image[i * d + k]! * text[j * d + k]!;
  return sum;
}

const TITLES = ["image and its text", "random", "hardest of a random mini-batch", "hardest of a GRIT mini-batch"];
const WIDTH = 235, SIDE = 110, HEIGHT = 190, TOP = 36, WORDS = 34; // pixels, and letters of a line

async function draw({ training, truth }: World, rows: readonly (readonly Choice[])[]): Promise<string> {
  const parts = TITLES.map((title, x) =>
    `<text x="${x * WIDTH + 8}" y="22" font-size="12" font-weight="bold">${title}</text>`
  );
  for (const [y, row] of rows.entries()) {
    for (const [x, { pair, cosine }] of row.entries()) {
      const { image, captions: [caption] } = training.entry(pair), left = x * WIDTH + 8, top = TOP + y * HEIGHT;
      const data = (await Deno.readFile(image)).toBase64(),
        wrong = cosine !== undefined && truth?.(row[0]!.pair, caption!);
      const note = cosine === undefined ? "" : `cosine ${cosine.toFixed(2)}${wrong ? ", but true of the image" : ""}`;
      const lines = [...wrapped(caption!), note];
      parts.push(
        `<rect x="${left}" y="${top}" width="${SIDE}" height="${SIDE}" fill="none" stroke="#888"/>`,
        `<image x="${left}" y="${top}" width="${SIDE}" height="${SIDE}" href="data:image/png;base64,${data}"/>`,
        ...lines.map((line, n) =>
          `<text x="${left}" y="${top + SIDE + 15 + 14 * n}" font-size="11">${escapeHtml(line)}</text>`
        ),
      );
    }
  }
  const width = TITLES.length * WIDTH + 8, height = TOP + rows.length * HEIGHT;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>${parts.join("")}</svg>`;
}

function wrapped(text: string): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last && last.length + word.length >= WORDS) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines;
}
