/**
 * The second stage of retrieval: the matching head on the pairs of shortlists.
 *
 * @module
 */
import type { PairModel } from "../models/albef.ts";
import type { CrossKeys } from "../models/bert.ts";
import { gather } from "../ops/gather.ts";
import { concat } from "../ops/shape.ts";
import { compile, type Compiled, tensor, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { leaves, mapTree, type Tree } from "../program/tree.ts";
import { indicesFrom, textRows } from "./_batches.ts";
import { type Group, PairList, positionsByCandidate, type Shortlists } from "./_shortlists.ts";

/** Texts that meet an image at a time: its keys and values are read once for all of them. */
const GROUP = 4;
/** Batches of texts whose states are kept at a time: with few, an image's pairs with these texts would not fill its groups. */
const BLOCK = 16;
/** Batches of images whose keys and values are kept at a time, at most. */
const CHUNK = 32;

/** What a matching head reads of images. */
type Keys = CrossKeys | Tensor;

/** A model that has a matching head. */
export type MatchingModel<P> = PairModel<P> & { match: NonNullable<PairModel<P>["match"]> };

/** Token ids and their mask, row-major [texts, length]. */
interface Texts {
  readonly ids: ArrayLike<number>;
  readonly mask: ArrayLike<number>;
  readonly length: number;
}

/** What pairs are made of: see `RetrievalSet`. */
interface Candidates {
  readonly images: { readonly count: number; load(indices: readonly number[]): Tensor | Promise<Tensor> };
  readonly texts: Texts;
}

/** How pairs are scored. */
export interface RerankOptions {
  /** Images, texts and pairs at a time. */
  readonly batch: number;
  /** For what the head reads of images. */
  readonly bytes: number;
  /** Is told how many places of the shortlists have their score, of how many. */
  readonly progress: ((done: number, total: number) => void) | undefined;
}

/**
 * Scores pairs chunk of images by chunk of images, and within it block of texts by block of texts. Of the set there are in GPU memory
 * what the head reads of one chunk, made once for each image, the states of one block, and the activations of one batch of pairs.
 */
export class Reranker<P> {
  readonly #images: Compiled<[Tree, Tensor], Keys>;
  readonly #texts: Compiled<[Tree, Tensor, Tensor], Tensor>;
  readonly #join: Compiled<[Tensor[]], Tensor>;
  readonly #logits: Compiled<[Tree, Keys, Tensor, Tensor, Tensor, Tensor], Tensor>;
  /** Texts of a group. */
  readonly #group: number;

  /** Of a model. */
  constructor(model: MatchingModel<P>, readonly options: RerankOptions) {
    this.#group = model.keys ? Math.min(GROUP, options.batch) : 1;
    this.#images = compile((p, x) => {
      const { states } = model.image(p as P, x);
      return model.keys?.(p as P, states) ?? states;
    });
    this.#texts = compile((p, ids, mask) => model.text(p as P, { ids, mask }).states);
    this.#join = compile((parts) => concat(parts, 0));
    this.#logits = compile((p, keys, which, states, mask, rows) => {
      const own = mapTree(keys as Tree, (t) => gather(t, which)) as Keys;
      return model.match(p as P, gather(states, rows), gather(mask, rows), own);
    });
  }

  /** Fills in the scores of both shortlists; a pair on both is scored once. */
  async score(params: P, { images, texts }: Candidates, i2t: Shortlists, t2i: Shortlists): Promise<void> {
    const { batch, bytes, progress } = this.options, { count } = images;
    const asked = positionsByCandidate(t2i, count), total = i2t.candidates.length + t2i.candidates.length;
    let done = 0;
    for (let from = 0; from < count;) {
      const keys: Keys[] = [], pairs = new PairList(i2t, t2i), first = from;
      do {
        keys.push(await this.#images(params as Tree, await images.load(indicesFrom(from, batch, count))));
        for (const end = Math.min(count, from + batch); from < end; from++) pairs.add(from - first, from, asked[from]!);
      } while (from < count && keys.length < CHUNK && (keys.length + 1) * bytesOf(keys[0]!) <= bytes);
      for await (const places of this.#scorePairs(params, keys, pairs, texts)) progress?.(done += places, total);
      keys.forEach(release);
    }
  }

  /** Frees the memory of the programs. */
  destroy(): void {
    for (const program of [this.#images, this.#texts, this.#join, this.#logits]) program.destroy();
  }

  /** Scores the pairs of a chunk; tells after each block how many places of the shortlists got their score. */
  async *#scorePairs(
    params: P,
    keys: readonly Keys[],
    pairs: PairList,
    texts: Texts,
  ): AsyncGenerator<number> {
    const { batch } = this.options, group = this.#group, count = texts.ids.length / texts.length;
    const parts = Math.min(BLOCK, Math.ceil(count / batch));
    for (const block of pairs.blocks(parts * batch, group)) {
      const { states, mask } = await this.#encode(params, block.texts, parts, texts);
      const logits: Tensor[] = [], scored: Group[][] = [];
      for (const [chunk, part] of keys.entries()) {
        const own = block.groups.filter(({ image }) => Math.floor(image / batch) === chunk);
        for (const groups of batches(own, Math.floor(batch / group))) {
          const which = tensor(Uint32Array.from(groups, ({ image }) => image % batch));
          const rows = groups.flatMap(({ texts }) => indicesFrom(0, group, texts.length).map((i) => texts[i]!));
          logits.push(await this.#logits(params as Tree, part, which, states, mask, tensor(Uint32Array.from(rows))));
          scored.push(groups);
        }
      }
      release(states);
      let places = 0;
      for (const [call, values] of (await toHost(logits)).entries()) {
        // Groups and texts that only fill a batch up come last, and are the same pairs.
        const unique = new Set(scored[call]!);
        [...unique].forEach((g, n) =>
          g.pairs.forEach((pair, i) => {
            const at = 2 * (n * group + i);
            places += pairs.deliver(pair, values[at]!, values[at + 1]!);
          })
        );
      }
      yield places;
    }
  }

  /** States and mask of the texts of a block, `parts` batches. */
  async #encode(params: P, numbers: readonly number[], parts: number, texts: Texts) {
    const { batch } = this.options, made: Tensor[] = [];
    for (let from = 0; from < numbers.length; from += batch) {
      const rows = indicesFrom(from, batch, numbers.length).map((i) => numbers[i]!);
      made.push(await this.#texts(params as Tree, ...textRows(texts, rows)));
    }
    const states = await this.#join(Array.from({ length: parts }, (_, i) => made[i] ?? made[0]!));
    made.forEach(release);
    const [, mask] = textRows(texts, indicesFrom(0, parts * batch, numbers.length).map((i) => numbers[i]!));
    return { states, mask };
  }
}

/** Groups, `count` at a time; the last one repeated. */
function batches(groups: readonly Group[], count: number): Group[][] {
  return Array.from(
    { length: Math.ceil(groups.length / count) },
    (_, i) => indicesFrom(i * count, count, groups.length).map((n) => groups[n]!),
  );
}

function bytesOf(keys: Keys): number {
  return leaves(keys as Tree).reduce((sum, { size }) => sum + 4 * size, 0);
}

/** Gives memory back now instead of when it is garbage. */
function release(keys: Keys): void {
  for (const t of leaves(keys as Tree)) t.node.storage[t.index]?.release();
}
