/** Every example of a split once, in mini-batches of one size. */
import {
  type Collate,
  type Dataset,
  type Example,
  imageShape,
  Loader,
  type Tensor,
  type Tokenizer,
  tokenShapes,
  type TokenTensors,
  tokenTensors,
  type Tree,
} from "../../mod.ts";
import { say } from "../_run.ts";
import type { EvaluationContext } from "./task.ts";

/** Images and texts, all that a model needs to answer. */
export type TextBatch = TokenTensors & { readonly images: Tensor };

/** Whole images and texts; `textOf` gives the cleaned text of an example. */
export function textCollate<E extends Example>(
  { config, textLength, tokenizer }: Pick<EvaluationContext<E>, "config" | "textLength"> & {
    readonly tokenizer: Tokenizer;
  },
  textOf: (example: E) => string,
): Collate<E, TextBatch> {
  const view = { resolution: config.vision.resolution, transform: "eval" } as const;
  return {
    views: [view],
    shapes: (count) => ({ images: imageShape(view, count), ...tokenShapes(count, textLength) }),
    collate: (examples, [images]) => ({
      images: images!,
      ...tokenTensors(tokenizer, examples.map(textOf), textLength),
    }),
  };
}

/** Bytes for decoded images of a split. */
const CACHE = 2 ** 26;

/** Loads splits again and again. */
export class Splits<E extends Example, B extends Tree> {
  readonly #loaders = new Map<Dataset<E>, Loader<E, B>>();

  constructor(
    readonly collate: Collate<E, B>,
    readonly options: Pick<EvaluationContext<E>, "batch" | "workers" | "onError">,
  ) {}

  /**
   * Mini-batches, with the index of each row's example; the last one repeats an example in rows that have no index. Examples that cannot
   * be read end the evaluation, or are left out and said.
   */
  async *batches(dataset: Dataset<E>): AsyncGenerator<{ input: B; indices: (number | undefined)[] }> {
    const { batch, workers, onError } = this.options, { length } = dataset;
    const loader = this.#loaders.getOrInsertComputed(
      dataset,
      () => new Loader(dataset, this.collate, { workers, onError, cacheBytes: CACHE }),
    );
    const rows = (from: number) => Int32Array.from({ length: batch }, (_, i) => Math.min(from + i, length - 1));
    const order = (k: number) => k * batch < length ? rows(k * batch) : undefined;
    const skipped = new Set(loader.skipped.map(({ index }) => index));
    for await (const { number, indices, input } of loader.batches(order, { epoch: 0 })) {
      for (const { index, file, reason } of loader.skipped) {
        if (!skipped.has(index)) say(`skipped example ${index}, "${file}": it ${reason}`);
        skipped.add(index);
      }
      const valid = (index: number, row: number) => number * batch + row < length && !skipped.has(index);
      yield { input, indices: Array.from(indices, (index, row) => valid(index, row) ? index : undefined) };
    }
  }

  async close(): Promise<void> {
    for (const loader of this.#loaders.values()) await loader.close();
  }
}

/** The most frequent of some labels, and its share of them: what guessing always the same would score. */
export function majority<T>(labels: readonly T[]): { label: T; share: number } {
  const counts = new Map<T, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const [label, count] = [...counts].reduce((best, next) => next[1] > best[1] ? next : best);
  return { label, share: count / labels.length };
}
