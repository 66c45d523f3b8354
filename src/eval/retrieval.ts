/**
 * Image-text retrieval in two stages (Li et al. 2021, section 5): a shortlist by the cosine of the contrastive features, then the
 * image-text matching head on the pairs of the shortlist; and both together.
 *
 * A head whose negatives are drawn in proportion to exp(cosine / temperature) is noise-contrastive estimation with these as the noise
 * (Gutmann and Hyvärinen 2010; Ma and Collins 2018, section 3): its log-odds tend to the logarithm of how much more often a pair is true
 * than drawn. What ranks candidates of one query is then cosine / temperature + log-odds. Alone, the head's logit lacks what its
 * negatives have already been chosen by; where negatives are random it lacks nothing.
 *
 * @module
 */
import type { PairModel } from "../models/albef.ts";
import { matmul } from "../ops/matmul.ts";
import { compile, type Compiled, item, tensor, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { indicesFrom, takeRows, textRows } from "./_batches.ts";
import { type MatchingModel, Reranker } from "./_rerank.ts";
import { best, ranksIn, type Shortlists, whole } from "./_shortlists.ts";
import { jointScores, rank, type Recalls, recallsOf, UNSCORED } from "./recall.ts";

/** Images and texts to be found by one another. */
export interface RetrievalSet {
  /** The images, loaded when they are needed. */
  readonly images: {
    /** Number of images. */
    readonly count: number;
    /**
     * The images of these numbers as the model takes them: [indices, ...]. With a second stage asked twice for each image, always for a whole
     * batch: the last one repeats numbers.
     */
    load(indices: readonly number[]): Tensor | Promise<Tensor>;
  };
  /** Token ids and their mask (1 at tokens, 0 at padding), row-major [texts, length]. */
  readonly texts: { readonly ids: ArrayLike<number>; readonly mask: ArrayLike<number>; readonly length: number };
  /** The image of each text; every image has at least one text. */
  readonly imageOf: ArrayLike<number>;
}

/** How an evaluation runs. */
export interface RetrievalOptions {
  /**
   * Length of the shortlists (256 for COCO, 128 for Flickr30K in the papers); 0 leaves the second stage out, as does a model
   * without a matching head. @default 128
   */
  readonly k?: number;
  /** Images, texts and pairs that are taken at a time. @default 32 */
  readonly batch?: number;
  /**
   * GPU memory for the keys and values that the matching head makes of images, MiB; one batch of images is always kept. The more
   * images, the fewer times a text is encoded. @default 256
   */
  readonly keysMib?: number;
  /** Whether the matrices of the second stage are returned too. @default false */
  readonly keepScores?: boolean;
  /** Is told how many places of both shortlists have been scored, of how many. */
  readonly progress?: (done: number, total: number) => void;
}

/** Recall in percent. */
export interface RetrievalResult {
  /** How many there were to choose from, and how many of them the second stage saw. */
  readonly candidates: {
    readonly images: number;
    readonly texts: number;
    readonly k: number;
    /** Says so if there are fewer candidates than k. */
    readonly note?: string;
  };
  /** By the cosine alone. */
  readonly cosine: Recalls;
  /** By the matching head on the shortlists, as the papers do; absent if k is 0. */
  readonly reranked?: Recalls;
  /** By the cosine / temperature + the head's log-odds on the shortlists; absent where `reranked` is, and for models without a temperature. */
  readonly joint?: Recalls;
  /** Logit of "match", {@linkcode UNSCORED} for pairs on no shortlist: [images, texts] and [texts, images]. */
  readonly scores?: { readonly i2t: Float32Array; readonly t2i: Float32Array };
}

/** Evaluates one model again and again; its programs are made once. `P` are the parameters. */
export class RetrievalEvaluator<P = unknown> {
  readonly #imageFeatures: Compiled<[Tree, Tensor], Tensor>;
  readonly #textFeatures: Compiled<[Tree, Tensor, Tensor], Tensor>;
  readonly #similarities: Compiled<[Tensor, Tensor], Tensor>;
  readonly #reranker: Reranker<P> | undefined;
  readonly #temperature: Compiled<[Tree], Tensor> | undefined;
  readonly #batch: number;

  /** An evaluator of a model. */
  constructor(model: PairModel<P>, readonly options: RetrievalOptions = {}) {
    this.#batch = options.batch ?? 32;
    checkOptions(options.k ?? 0, this.#batch);
    this.#imageFeatures = compile((p, x) => model.image(p as P, x).features);
    this.#textFeatures = compile((p, ids, mask) => model.text(p as P, { ids, mask }).features);
    this.#similarities = compile((rows, columns) => matmul(rows, columns, { transposeB: true }));
    this.#temperature = model.temperature && compile((p) => model.temperature!(p as P));
    this.#reranker = model.match && new Reranker(model as MatchingModel<P>, {
      batch: this.#batch,
      bytes: (options.keysMib ?? 256) * 2 ** 20,
      progress: options.progress,
    });
  }

  /**
   * Recall of a set. Kept of all of it are the features, 4 x embedding bytes of each image and text, and the shortlists, 8 k bytes
   * of each. Token states are there of a few at a time only: with f fusion layers and P tokens of width D in an image, its keys and
   * values take 8 f P D bytes, and as many images as fit into `keysMib` have theirs in GPU memory, made once per image (base at
   * 256 pixels: 9.5 MB each); beside them 16 batches of text states, 4 L D bytes each (base, 25 tokens, batches of 32: 39 MB), and the
   * activations of one batch.
   *
   * @throws {RangeError} if the sizes of the set do not fit together.
   */
  async evaluate(params: P, set: RetrievalSet): Promise<RetrievalResult> {
    checkSet(set);
    await toDevice(params as Tree);
    const { images, imageOf } = set, texts = imageOf.length, { keepScores = false } = this.options;
    const k = this.#reranker ? this.options.k ?? 128 : 0;
    const features = [await this.#encodeImages(params, set), await this.#encodeTexts(params, set)] as const;
    const isOwn = { i2t: (i: number, t: number) => imageOf[t] === i, t2i: (t: number, i: number) => imageOf[t] === i };
    const i2t = await this.#byCosine(features[0], features[1], Math.min(k, texts), isOwn.i2t);
    const t2i = await this.#byCosine(features[1], features[0], Math.min(k, images.count), isOwn.t2i);
    const candidates = { images: images.count, texts, k, ...noteOf(k, texts, images.count) };
    const cosine = recallsOf(i2t.ranks, t2i.ranks);
    if (k === 0) return { candidates, cosine };
    await this.#reranker!.score(params, set, i2t.lists, t2i.lists);
    const recalls = (by: (lists: Shortlists) => Float32Array): Recalls =>
      recallsOf(ranksIn(i2t.lists, by(i2t.lists), isOwn.i2t), ranksIn(t2i.lists, by(t2i.lists), isOwn.t2i));
    const reranked = recalls(({ scores }) => scores), temperature = await this.#temperatureOf(params);
    return {
      candidates,
      cosine,
      reranked,
      ...(temperature && { joint: recalls(({ cosines, odds }) => jointScores(cosines, odds, temperature)) }),
      ...(keepScores && { scores: { i2t: whole(i2t.lists, texts), t2i: whole(t2i.lists, images.count) } }),
    };
  }

  /** Frees the memory of the programs. */
  destroy(): void {
    const programs = [this.#imageFeatures, this.#textFeatures, this.#similarities, this.#temperature, this.#reranker];
    for (const program of programs) program?.destroy();
  }

  async #temperatureOf(params: P): Promise<number | undefined> {
    return this.#temperature && await item(await this.#temperature(params as Tree));
  }

  async #encodeImages(params: P, { images }: RetrievalSet): Promise<Tensor> {
    return await this.#inBatches(
      images.count,
      async (at) => this.#imageFeatures(params as Tree, await images.load(at)),
    );
  }

  async #encodeTexts(params: P, { texts, imageOf }: RetrievalSet): Promise<Tensor> {
    return await this.#inBatches(
      imageOf.length,
      (at) => this.#textFeatures(params as Tree, ...textRows(texts, at)),
    );
  }

  /** Rows [count, d] from results [batch, d] for batches of numbers; read one by one, so that what made them can be freed. */
  async #inBatches(count: number, run: (indices: readonly number[]) => Promise<Tensor>): Promise<Tensor> {
    let out: Float32Array | undefined, width = 0;
    for (let from = 0; from < count; from += this.#batch) {
      const [rows] = await toHost([await run(indicesFrom(from, this.#batch, count))]);
      width = rows!.length / this.#batch;
      out ??= new Float32Array(count * width);
      out.set((rows as Float32Array).subarray(0, Math.min(this.#batch, count - from) * width), from * width);
    }
    return await toDevice(tensor(out!, [count, width], "f32", { copy: false }));
  }

  /** Ranks of all rows by cosine, and the k best columns of each. */
  async #byCosine(
    rows: Tensor,
    columns: Tensor,
    k: number,
    isOwn: (row: number, column: number) => boolean,
  ): Promise<{ ranks: Float64Array; lists: Shortlists }> {
    const [count, width] = rows.shape as [number, number], length = columns.shape[0]!;
    const block = Math.min(count, Math.max(1, Math.floor(2 ** 22 / length)));
    const [values] = await toHost([rows]) as [Float32Array];
    const ranks = new Float64Array(count),
      candidates = new Uint32Array(count * k),
      cosines = new Float32Array(count * k);
    for (let from = 0; from < count; from += block) {
      const at = indicesFrom(from, block, count);
      const part = tensor(takeRows(values, width, at, Float32Array), [block, width]);
      const [scores] = await toHost([await this.#similarities(part, columns)]) as [Float32Array];
      for (let row = from; row < Math.min(count, from + block); row++) {
        const own = scores.subarray((row - from) * length, (row - from + 1) * length);
        ranks[row] = rank(own, (c) => isOwn(row, c));
        const listed = best(own, k);
        candidates.set(listed, row * k);
        listed.forEach((c, p) => cosines[row * k + p] = own[c]!);
      }
    }
    const scores = new Float32Array(count * k).fill(UNSCORED), odds = new Float32Array(count * k);
    return { ranks, lists: { k, candidates, cosines, scores, odds } };
  }
}

/** Recall of a model on a set, once. See {@linkcode RetrievalEvaluator}. */
export async function evaluateRetrieval<P>(
  params: P,
  model: PairModel<P>,
  set: RetrievalSet,
  options: RetrievalOptions = {},
): Promise<RetrievalResult> {
  const evaluator = new RetrievalEvaluator<P>(model, options);
  try {
    return await evaluator.evaluate(params, set);
  } finally {
    evaluator.destroy();
  }
}

function noteOf(k: number, texts: number, images: number): { note?: string } {
  const few = ([[texts, "texts"], [images, "images"]] as const).filter(([n]) => n < k).map(([n, name]) =>
    `${n} ${name}`
  );
  return few.length ? { note: `k is ${k}, but there are only ${few.join(" and ")}: all of them are re-ranked` } : {};
}

function checkOptions(k: number, batch: number): void {
  if (!(Number.isInteger(k) && k >= 0) || !(Number.isInteger(batch) && batch >= 1)) {
    throw new RangeError(
      `Cannot evaluate retrieval: k must be a whole number of at least 0, and batch one of at least 1: they are ${k} and ${batch}`,
    );
  }
}

function checkSet({ images, texts: { ids, mask, length }, imageOf }: RetrievalSet): void {
  const size = imageOf.length * length;
  if (ids.length !== size || mask.length !== size) {
    throw new RangeError(
      `Cannot evaluate retrieval: ids and mask must hold ${imageOf.length} texts of ${length} tokens: they hold ${ids.length} and ${mask.length} elements`,
    );
  }
  const captioned = new Set(Array.from(imageOf));
  for (let i = 0; i < images.count; i++) {
    if (!captioned.has(i)) {
      throw new RangeError(`Cannot evaluate retrieval: every image must have a text: image ${i} has none`);
    }
    captioned.delete(i);
  }
  const [beyond] = captioned;
  if (beyond !== undefined) {
    throw new RangeError(
      `Cannot evaluate retrieval: a text belongs to image ${beyond}: there are only ${images.count} images`,
    );
  }
}
