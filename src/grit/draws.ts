/**
 * The random choices of the sampler, each a function of the seed and of where in the run it is made. Nothing of them has to
 * be saved, and a resumed run draws what the uninterrupted one would have drawn.
 *
 * @module
 */
import { Random } from "../random/random.ts";

/** Random choices of the sampler. */
export interface Draws {
  /** A fresh random order of `count` examples at the start of `epoch`. */
  order(epoch: number, count: number): Int32Array;
  /** Example-level shuffle of the epoch's `queue`-th full (or last) queue: new[i] = old[result[i]]. */
  examples(epoch: number, queue: number, count: number): Int32Array;
  /** Start position of the walk in each of the queue's sub-queues, which have these sizes. */
  starts(epoch: number, queue: number, sizes: Uint32Array): Uint32Array;
  /** Mini-batch-level shuffle at the end of the epoch's collecting: new chunk i = old chunk result[i]. */
  chunks(epoch: number, count: number): Int32Array;
}

/**
 * Draws from the seed.
 *
 * @param officialStart Starts as the released code draws them: never the last position of a sub-queue.
 */
export function seededDraws(seed: number, officialStart: boolean = false): Draws {
  const random = new Random(seed);
  const [ORDER, EXAMPLES, STARTS, CHUNKS] = [0, 1, 2, 3] as const;
  return {
    order: (epoch, count) => random.fork(epoch, ORDER).permutation(count),
    examples: (epoch, queue, count) => random.fork(epoch, EXAMPLES, queue).permutation(count),
    starts: (epoch, queue, sizes) => {
      const stream = random.fork(epoch, STARTS, queue);
      return sizes.map((size) => stream.below(officialStart ? Math.max(1, size - 1) : size));
    },
    chunks: (epoch, count) => random.fork(epoch, CHUNKS).permutation(count),
  };
}
