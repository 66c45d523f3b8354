/**
 * Batching rules that ops share: what `vmap` makes of an op whose inputs have one more axis in front.
 *
 * @module
 */
import type { Op, Tensor } from "../program/graph.ts";
import { reshape } from "./shape.ts";

/** A batching rule, see {@linkcode Op}. */
export type BatchRule<A> = NonNullable<Op<A>["batch"]>;

/** Ops on the last axes, whatever the axes before them are: the batch is one more of these. */
export const leadingAxis: BatchRule<unknown> = (_, attrs, batch) => batch.apply(batch.whole(), attrs);

/** Ops along `axis`: it is the next one. */
export const nextAxis: BatchRule<{ readonly axis: number }> = (_, attrs, batch) =>
  batch.apply(batch.whole(), { ...attrs, axis: attrs.axis + 1 });

/** Ops for whose results the first axis of all inputs stays by itself (rows, images): the batch and that axis become one. */
export const firstAxis: BatchRule<unknown> = (_, attrs, batch) =>
  unfolded(batch.apply(folded(batch.whole()), attrs), batch.size);

/** The two first axes as one. */
export function folded(inputs: readonly Tensor[]): Tensor[] {
  return inputs.map((x) => reshape(x, [x.shape[0]! * x.shape[1]!, ...x.shape.slice(2)]));
}

/** The first axis as two, the first of them of length `size`. */
export function unfolded(results: readonly Tensor[], size: number): Tensor[] {
  return results.map((y) => reshape(y, [size, y.shape[0]! / size, ...y.shape.slice(1)]));
}

/** Element-wise ops with broadcasting: axes of length 1 follow the batch where an input has fewer than the result. */
export const elementwise: BatchRule<{ readonly shape?: readonly number[] } | null | undefined> = (
  inputs,
  attrs,
  batch,
) => {
  const ranks = inputs.map((x, i) => x.shape.length - Number(batch.batched[i]));
  const rank = attrs?.shape?.length ?? Math.max(...ranks);
  const aligned = inputs.map((x, i) => {
    const own = x.shape;
    return batch.batched[i] ? reshape(x, [batch.size, ...Array<number>(rank - ranks[i]!).fill(1), ...own.slice(1)]) : x;
  });
  return batch.apply(aligned, attrs?.shape ? { ...attrs, shape: [batch.size, ...attrs.shape] } : attrs);
};
