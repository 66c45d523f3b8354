/**
 * Mini-batches in an order that is drawn anew for each epoch: how downstream tasks are trained.
 *
 * @module
 */
import type { Example } from "../data/dataset.ts";
import type { Batch, Loader } from "../data/loader.ts";
import type { SpecTree } from "../nn/spec.ts";
import type { Tree } from "../program/tree.ts";
import { Random } from "../random/random.ts";
import type { DataStream, Task, TrainBatch } from "../train/task.ts";
import { forget } from "./_forget.ts";
import type { RecipeObjective } from "./recipe.ts";

/** What a shuffled task consists of beside its objective. */
export interface ShuffledOptions<E extends Example, B extends Tree> {
  /** Gives the mini-batches. */
  readonly loader: Loader<E, B>;
  /** Examples of a mini-batch; those that are left at the end of an epoch wait for another one. */
  readonly batch: number;
  /** Decides on the orders. @default 0 */
  readonly seed?: number;
  /** Epochs after which there are no more mini-batches. Default: no end. */
  readonly epochs?: number;
}

/** The word of the orders' stream after the epoch; the loader's own streams are forks of an epoch and two words more. */
const ORDER = 0x5e0;

/** The task of training `objective` on random mini-batches. @throws {RangeError} If the data set is smaller than one of them. */
export function shuffled<E extends Example, S extends SpecTree, X extends Tree, B extends Tree>(
  objective: RecipeObjective<E, S, X, B>,
  options: ShuffledOptions<E, B>,
): Task<S, X, B> {
  const { loader: { dataset }, batch } = options;
  return {
    ...objective,
    data: new ShuffledStream<E, S, X, B>(options),
    settings: { order: { examples: dataset.length, batch } },
  };
}

/** Where a stream is: mini-batches of an epoch that have been given. */
interface Place {
  readonly epoch: number;
  readonly given: number;
}

class ShuffledStream<E extends Example, S extends SpecTree, X extends Tree, B extends Tree>
  implements DataStream<S, X, B> {
  readonly #perEpoch: number;
  #place: Place = { epoch: 0, given: 0 };
  #batches: AsyncIterator<Batch<B>> | undefined;

  constructor(readonly options: ShuffledOptions<E, B>) {
    const { loader: { dataset }, batch } = options;
    this.#perEpoch = Math.floor(dataset.length / batch);
    if (!Number.isInteger(batch) || batch < 1 || this.#perEpoch < 1) {
      throw new RangeError(
        `Cannot shuffle "${dataset.name}": "batch" must be from 1 to its ${dataset.length} examples: it is ${batch}`,
      );
    }
  }

  async next(): Promise<TrainBatch<B> | undefined> {
    if (this.#place.given === this.#perEpoch) {
      this.#place = { epoch: this.#place.epoch + 1, given: 0 };
      this.#batches = undefined;
    }
    const { epoch } = this.#place;
    if (epoch >= (this.options.epochs ?? Infinity)) return undefined;
    const { value } = await (this.#batches ??= this.#epoch()).next() as { value: Batch<B> };
    const { number, indices, input } = value;
    this.#place = { epoch, given: number + 1 };
    const label = `mini-batch ${number} of epoch ${epoch} (examples ${indices.join(", ")})`;
    return { input, examples: indices.length, label, epoch };
  }

  /** The mini-batches of this epoch that have not been given. */
  #epoch(): AsyncIterator<Batch<B>> {
    const { loader, batch, seed = 0 } = this.options, { epoch, given } = this.#place;
    const order = new Random(seed).fork(epoch, ORDER).permutation(loader.dataset.length);
    const of = (k: number) => k < this.#perEpoch ? order.slice(k * batch, (k + 1) * batch) : undefined;
    return loader.batches(of, { epoch, from: given })[Symbol.asyncIterator]();
  }

  /** Bytes of the place. */
  save(): Record<string, Uint8Array<ArrayBuffer>> {
    return { place: new TextEncoder().encode(JSON.stringify(this.#place)) };
  }

  /** Takes them back. */
  restore(parts: ReadonlyMap<string, Uint8Array>): void {
    const bytes = parts.get("place");
    if (!bytes) throw new SyntaxError("Cannot resume: the checkpoint has no place in the order of the examples");
    const { epoch, given } = JSON.parse(new TextDecoder().decode(bytes));
    if (
      !Number.isSafeInteger(epoch) || epoch < 0 || !(Number.isInteger(given) && given >= 0 && given <= this.#perEpoch)
    ) {
      throw new SyntaxError(`Cannot resume: the checkpoint's place must be an epoch and a mini-batch of it`);
    }
    this.#place = { epoch, given };
    forget(this.#batches);
    this.#batches = undefined;
  }

  async close(): Promise<void> {
    await this.#batches?.return?.();
  }
}
