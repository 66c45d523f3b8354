/**
 * Products of tensors that NumPy has names for, besides the matrix product.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { checkAxis, checkInput, FLOATS } from "./_check.ts";
import { contract, inOrder } from "./_contract.ts";
import { multiply } from "./elementwise.ts";
import { sum } from "./reduce.ts";
import { reshape } from "./shape.ts";

/**
 * The product summed over pairs of axes: the result has the other axes of `a`, then those of `b`, as `numpy.tensordot`.
 *
 * @param axes The axes of `a` and, as many, those of `b` (negative ones from the end); or a number n: the last n axes of `a` and
 * the first n of `b`. Default 2.
 * @throws {RangeError} if two axes of a pair are not equally long.
 */
export function tensordot(
  a: Tensor,
  b: Tensor,
  axes: number | readonly [axesA: readonly number[], axesB: readonly number[]] = 2,
): Tensor {
  checkOperands("tensordot", a, b);
  const [ofA, ofB] = typeof axes === "number" ? lastAndFirst(axes, a.shape.length) : axes;
  const inA = ofA.map((axis) => checkAxis("tensordot", axis, a.shape.length));
  const inB = ofB.map((axis) => checkAxis("tensordot", axis, b.shape.length));
  const fit = inA.length === inB.length && inA.every((axis, i) => a.shape[axis] === b.shape[inB[i]!]);
  if (!fit || new Set(inA).size < inA.length || new Set(inB).size < inB.length) {
    throw new RangeError(
      `Cannot apply tensordot: pairs of different axes must be equally long: axes [${ofA}] of [${a.shape}] and [${ofB}] of [${b.shape}]`,
    );
  }
  const labelsA = a.shape.map((_, axis) => `a${axis}`);
  const labelsB = b.shape.map((_, axis) => inB.includes(axis) ? `a${inA[inB.indexOf(axis)]!}` : `b${axis}`);
  const kept = [...labelsA.filter((x) => !labelsB.includes(x)), ...labelsB.filter((x) => !labelsA.includes(x))];
  return inOrder(contract({ x: a, labels: labelsA }, { x: b, labels: labelsB }, kept), kept);
}

function lastAndFirst(count: number, rank: number): [number[], number[]] {
  const first = Array.from({ length: count }, (_, i) => i);
  return [first.map((i) => rank - count + i), first];
}

function checkOperands(name: string, a: Tensor, b: Tensor): void {
  checkInput(name, "a", a, FLOATS);
  checkInput(name, "b", b, FLOATS);
}

/**
 * The product summed over the last axis of `a` and the only or last but one of `b`, as `numpy.dot`; of two vectors a number. A
 * scalar multiplies.
 *
 * @throws {RangeError} if these axes are not equally long.
 */
export function dot(a: Tensor, b: Tensor): Tensor {
  checkOperands("dot", a, b);
  if (a.shape.length === 0 || b.shape.length === 0) return multiply(a, b);
  return tensordot(a, b, [[-1], [b.shape.length === 1 ? 0 : -2]]);
}

/**
 * The sum of the products of all elements, a number, as `numpy.vdot`.
 *
 * @throws {RangeError} unless there are as many in `a` as in `b`.
 */
export function vdot(a: Tensor, b: Tensor): Tensor {
  checkOperands("vdot", a, b);
  if (a.size !== b.size) {
    throw new RangeError(
      `Cannot apply vdot: a and b must have as many elements: they are [${a.shape}] and [${b.shape}]`,
    );
  }
  return sum(multiply(reshape(a, [a.size]), reshape(b, [b.size])));
}

/** The products of all elements of `a` with all of `b`, both taken as vectors: [size of a, size of b], as `numpy.outer`. */
export function outer(a: Tensor, b: Tensor): Tensor {
  checkOperands("outer", a, b);
  return multiply(reshape(a, [a.size, 1]), reshape(b, [1, b.size]));
}
