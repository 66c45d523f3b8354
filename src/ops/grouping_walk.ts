/**
 * The walk that groups sub-queues of pairs by similarity (GRIT-VLP, section 3.2, Eq. 5), all of them in one dispatch.
 *
 * @module
 */
import { UnsupportedError } from "../gpu/errors.ts";
import { apply, type Aval, type Op, type Tensor } from "../program/graph.ts";
import { kernel } from "../gpu/kernel.ts";
import { checkInput } from "./_check.ts";
import source from "../../kernels/grit_walk.wgsl" with { type: "text" };

/** Columns of a thread at most: the bits of its mask of visited pairs. */
const THREAD_COLUMNS = 32;
/** log2 of the most threads of a workgroup, 256, that WebGPU promises. */
const MOST_LEVELS = 8;

/** The most pairs that a sub-queue may hold. */
export const MAX_SUB_QUEUE: number = THREAD_COLUMNS * 2 ** MOST_LEVELS;

/**
 * Inputs: similarity `[G, M, M]` of images (rows) and texts (columns) in f32; `starts` `[G]` and `sizes` `[G]` in u32, with
 * `starts < sizes <= M`. Result: `[G, M]` u32, row `g` the positions `0..sizes[g]-1` in walk order, then `sizes[g]..M-1`.
 * Equal similarities: the lowest position wins. No gradient.
 *
 * The similarities of G sub-queues, `G M^2` floats, lie in one binding: give as many at a time as the adapter allows.
 */
export const groupingWalkOp: Op<null> = {
  name: "groupingWalk",
  infer(inputs: readonly Aval[]): Aval[] {
    const [similarity, starts, sizes] = inputs as [Aval, Aval, Aval];
    const [g = 1, m = 1] = similarity.shape;
    if (m > MAX_SUB_QUEUE) {
      throw new UnsupportedError(`Cannot apply groupingWalk: M must be at most ${MAX_SUB_QUEUE}: it is ${m}`);
    }
    checkInput("groupingWalk", "the similarity", similarity, "f32", [g, m, m]);
    checkInput("groupingWalk", "the list of starts", starts, "u32", [g]);
    checkInput("groupingWalk", "the list of sizes", sizes, "u32", [g]);
    return [{ shape: [g, m], dtype: "u32" }];
  },
  lower(ctx, node): void {
    const [g, m] = node.avals[0]!.shape as [number, number];
    const levels = threadLevels(m, ctx.device.kind), threads = 2 ** levels;
    const [similarity, starts, sizes] = ctx.inputs, [chain] = ctx.outputs;
    const walk = kernel(`groupingWalk ${threads} threads`, source, { consts: { THREADS: threads, LEVELS: levels } });
    ctx.dispatch({ ...walk.bind({ similarity, starts, sizes, chain, shape: { groups: g, m } }), workgroups: g });
  },
};

/** log2 of the threads: all columns they can take where barriers cost more than loads, 4 each where it is the other way. */
function threadLevels(m: number, kind: "cpu" | "gpu"): number {
  const [columns, least] = kind === "cpu" ? [THREAD_COLUMNS, 3] : [4, 5];
  return Math.min(MOST_LEVELS, Math.max(least, Math.ceil(Math.log2(m / columns))));
}

/**
 * The chain of each sub-queue: similarity `[G, M, M]` of its images (rows) and texts (columns), u32 `[G]` starts and sizes
 * -> u32 `[G, M]` positions in the sub-queue.
 */
export function groupingWalk(similarity: Tensor, starts: Tensor, sizes: Tensor): Tensor {
  return apply(groupingWalkOp, [similarity, starts, sizes], null);
}
