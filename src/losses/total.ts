/**
 * Sums of named losses.
 *
 * @module
 */
import { weighed } from "../nn/attack.ts";
import { add, multiply } from "../ops/elementwise.ts";
import type { Tensor } from "../program/graph.ts";

/** A loss and the terms that it is the sum of, scalars. */
export interface Total<N extends string = string> {
  /** The sum of weight * term. */
  readonly loss: Tensor;
  /** The terms without their weights; those of weight 0 are left out. */
  readonly terms: { readonly [K in N]?: Tensor };
}

/**
 * The sum of weight * term in the order of the terms. A term of weight 0 is not computed.
 *
 * @param weights Default: 1 each.
 * @throws {RangeError} If all weights are 0.
 */
export function total<N extends string>(
  terms: Readonly<Record<N, () => Tensor>>,
  weights: { readonly [K in N]?: number } = {},
): Total<N> {
  const weightOf = (name: N): number => weights[name] ?? 1;
  const names = (Object.keys(terms) as N[]).filter((name) => weightOf(name) !== 0);
  if (!names.length) throw new RangeError("Cannot add up losses: at least one weight must not be 0: all are 0");
  const found = names.map((name) => [name, weighed(weightOf(name), terms[name])] as const);
  const parts = found.map(([name, term]) => weightOf(name) === 1 ? term : multiply(term, weightOf(name)));
  return { loss: parts.reduce((a, b) => add(a, b)), terms: Object.fromEntries(found) as Total<N>["terms"] };
}
