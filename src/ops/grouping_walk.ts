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
 * Inputs: image-to-text similarity `[G, M, M]` and its transpose, text-to-image similarity `[G, M, M]`, in f32; `starts`
 * `[G]` and `sizes` `[G]` in u32, with `starts < sizes <= M`. Result: `[G, M]` u32, row `g` the positions `0..sizes[g]-1`
 * in walk order, then `sizes[g]..M-1`. Equal similarities: the lowest position wins. No gradient.
 *
 * G sub-queues take `2 G M^2` floats, half of it in one binding: give as many at a time as the adapter allows.
 */
export const groupingWalkOp: Op<null> = {
  name: "groupingWalk",
  infer(inputs: readonly Aval[]): Aval[] {
    const [imageToText, textToImage, starts, sizes] = inputs as [Aval, Aval, Aval, Aval];
    const [g = 1, m = 1] = imageToText.shape;
    if (m > MAX_SUB_QUEUE) {
      throw new UnsupportedError(`Cannot apply groupingWalk: M must be at most ${MAX_SUB_QUEUE}: it is ${m}`);
    }
    checkInput("groupingWalk", "the image-to-text similarity", imageToText, "f32", [g, m, m]);
    checkInput("groupingWalk", "the text-to-image similarity", textToImage, "f32", [g, m, m]);
    checkInput("groupingWalk", "the list of starts", starts, "u32", [g]);
    checkInput("groupingWalk", "the list of sizes", sizes, "u32", [g]);
    return [{ shape: [g, m], dtype: "u32" }];
  },
  lower(ctx, node): void {
    const [g, m] = node.avals[0]!.shape as [number, number];
    const levels = threadLevels(m, ctx.device.kind), threads = 2 ** levels;
    const [image_to_text, text_to_image, starts, sizes] = ctx.inputs, [chain] = ctx.outputs;
    const walk = kernel(`groupingWalk ${threads} threads`, source, { consts: { THREADS: threads, LEVELS: levels } });
    const buffers = { image_to_text, text_to_image, starts, sizes, chain };
    ctx.dispatch({ ...walk.bind({ ...buffers, shape: { groups: g, m } }), workgroups: g });
  },
};

/** log2 of the threads: all columns they can take where barriers cost more than loads, 4 each where it is the other way. */
function threadLevels(m: number, kind: "cpu" | "gpu"): number {
  const [columns, least] = kind === "cpu" ? [THREAD_COLUMNS, 3] : [4, 5];
  return Math.min(MOST_LEVELS, Math.max(least, Math.ceil(Math.log2(m / columns))));
}

/**
 * The chain of each sub-queue: similarities `[G, M, M]` of images to texts and of texts to images, u32 `[G]` starts and sizes
 * -> u32 `[G, M]` positions in the sub-queue.
 */
export function groupingWalk(imageToText: Tensor, textToImage: Tensor, starts: Tensor, sizes: Tensor): Tensor {
  return apply(groupingWalkOp, [imageToText, textToImage, starts, sizes], null);
}
