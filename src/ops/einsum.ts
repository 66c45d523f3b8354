/**
 * Products and sums of tensors by an equation of labelled axes, as matrix products where they can be.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { ANY_TYPE, checkInput, FLOATS } from "./_check.ts";
import { contract, diagonals, inOrder, type Labelled, sumOut } from "./_contract.ts";
import { readEquation } from "./_einsum_equation.ts";
import { asF32 } from "./_float.ts";
import { reshape } from "./shape.ts";

/**
 * The sum of products that `equation` says, as `numpy.einsum`: `einsum("bhqd,bhkd->bhqk", q, k)` are the scores of attention.
 *
 * A term of letters names the axes of each operand, the one after `->` those of the result, in its order; what is not there is
 * summed over. Without `->` the result has the axes of `...`, then the letters that appear once, in alphabetical order. A letter
 * twice in one term takes the diagonal. Axes of `...` broadcast, and are summed over if the result has no `...` (as in
 * PyTorch); axes of one letter must be equal. Operands are taken from left to right; two at a time are one matrix product,
 * batched over the letters that both and the result have, in f32.
 *
 * @param operands f32 or f16 (the result is f32); a single one may be i32 or u32 too.
 * @throws {RangeError} if the equation is malformed or does not fit the shapes, {@linkcode TypeError} if types do not fit.
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  const { terms, output, lengths } = readEquation(equation, operands.map((x) => x.shape));
  operands.forEach((x, i) => checkInput("einsum", `operand ${i + 1}`, x, operands.length === 1 ? ANY_TYPE : FLOATS));
  const [first, ...rest] = operands.map((x, i) => prepared({ x, labels: terms[i]! }, lengths));
  let all = first!;
  rest.forEach((next, i) => all = contract(all, next, [...output, ...terms.slice(i + 2).flat()]));
  all = sumOut(all, (label) => output.includes(label));
  return asF32(inOrder(all, output));
}

/** An operand without repeated axes, and without axes of length 1 that broadcast. */
function prepared({ x, labels }: Labelled, lengths: ReadonlyMap<string, number>): Labelled {
  const kept = labels.map((_, axis) => axis).filter((axis) => x.shape[axis] === lengths.get(labels[axis]!));
  const repeats = new Set(labels).size < labels.length;
  const whole = reshape(repeats ? asF32(x) : x, kept.map((axis) => x.shape[axis]!));
  return diagonals({ x: whole, labels: kept.map((axis) => labels[axis]!) });
}
