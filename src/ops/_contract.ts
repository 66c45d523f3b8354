/**
 * Tensors with labelled axes, and what einsum does with them: diagonals, sums, and contractions of two as one matrix product.
 *
 * @module
 */
import { sizeOf, type Tensor } from "../program/graph.ts";
import { multiply } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { sum } from "./reduce.ts";
import { concat, reshape, slice } from "./shape.ts";
import { transpose } from "./transpose.ts";

/** A tensor and the labels of its axes. */
export interface Labelled {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

/** x with its axes in the order of `labels`, which are all of its own. */
export function inOrder({ x, labels }: Labelled, order: readonly string[]): Tensor {
  return transpose(x, order.map((label) => labels.indexOf(label)));
}

/** The sum over all labels but those of which `keeps` holds. */
export function sumOut({ x, labels }: Labelled, keeps: (label: string) => boolean): Labelled {
  const axes = labels.flatMap((label, axis) => keeps(label) ? [] : [axis]);
  return { x: axes.length ? sum(x, { axes }) : x, labels: labels.filter(keeps) };
}

/** Of axes with one label the elements that have one index along all of them. */
export function diagonals({ x, labels }: Labelled): Labelled {
  const second = labels.findIndex((label, axis) => labels.indexOf(label) < axis);
  if (second < 0) return { x, labels };
  const first = labels.indexOf(labels[second]!);
  const others = labels.map((_, axis) => axis).filter((axis) => axis !== first && axis !== second);
  const y = lastDiagonal(transpose(x, [...others, first, second]));
  return diagonals({ x: y, labels: [...others, first].map((axis) => labels[axis]!) });
}

/** [..., n, n] -> [..., n]: every (n + 1)th element. Nothing is multiplied by 0, so that NaN beside the diagonal stays there. */
function lastDiagonal(x: Tensor): Tensor {
  const n = x.shape.at(-1)!, shape = x.shape.slice(0, -1), rows = x.size / (n * n);
  if (n === 1) return reshape(x, shape);
  const flat = reshape(x, [rows, n * n]), end = n * n - 1;
  const most = slice(reshape(slice(flat, 1, 0, end), [rows, n - 1, n + 1]), 2, 0, 1);
  return reshape(concat([reshape(most, [rows, n - 1]), slice(flat, 1, end, end + 1)], 1), shape);
}

/**
 * The product of two, summed over all labels but those of `kept`. Which of the two has the rows of a matrix product depends on
 * whose axes come first in `kept`.
 */
export function contract(a: Labelled, b: Labelled, kept: readonly string[]): Labelled {
  a = sumOut(a, (label) => kept.includes(label) || b.labels.includes(label));
  b = sumOut(b, (label) => kept.includes(label) || a.labels.includes(label));
  const rows = without(a.labels, b.labels), columns = without(b.labels, a.labels);
  const inner = without(a.labels, [...kept, ...rows]);
  if (inner.length === 0 || rows.length + columns.length === 0) return elementwiseProduct(a, b, inner);
  const first = kept.find((label) => rows.includes(label) || columns.includes(label));
  return columns.includes(first!) ? matrixProduct(b, a, inner) : matrixProduct(a, b, inner);
}

function without(labels: readonly string[], others: readonly string[]): string[] {
  return labels.filter((label) => !others.includes(label));
}

/** Nothing to sum, or nothing but what both have: a product of elements. */
function elementwiseProduct(a: Labelled, b: Labelled, inner: readonly string[]): Labelled {
  const labels = [...a.labels, ...without(b.labels, a.labels)];
  const own = inOrder(b, labels.filter((label) => b.labels.includes(label)));
  let axis = 0;
  const aligned = reshape(own, labels.map((label) => b.labels.includes(label) ? own.shape[axis++]! : 1));
  const extended = reshape(a.x, labels.map((_, i) => a.x.shape[i] ?? 1));
  return sumOut({ x: multiply(extended, aligned), labels }, (label) => !inner.includes(label));
}

/** One product of matrices, [batch, rows, inner] times [batch, inner, columns], each group of axes folded into one. */
function matrixProduct(a: Labelled, b: Labelled, inner: readonly string[]): Labelled {
  // The larger operand says in which order the axes of both are, that it need not be copied.
  const larger = a.x.size >= b.x.size ? a : b, smaller = larger === a ? b : a;
  const shared = larger.labels.filter((label) => smaller.labels.includes(label));
  const batch = without(shared, inner), order = without(shared, batch);
  const rows = without(a.labels, shared), columns = without(b.labels, shared);
  const left = asMatrix(a, batch, rows, order), right = asMatrix(b, batch, order, columns);
  const y = matmul(left.x, right.x, { transposeA: left.swapped, transposeB: right.swapped });
  const shapeOf = (t: Labelled, labels: readonly string[]) =>
    labels.map((label) => t.x.shape[t.labels.indexOf(label)]!);
  return {
    x: reshape(y, [...shapeOf(a, batch), ...shapeOf(a, rows), ...shapeOf(b, columns)]),
    labels: [...batch, ...rows, ...columns],
  };
}

/** x as [batch, rows, columns], or swapped as [batch, columns, rows] where it is stored so; without a batch two axes. */
function asMatrix(
  t: Labelled,
  batch: readonly string[],
  rows: readonly string[],
  columns: readonly string[],
): { x: Tensor; swapped: boolean } {
  const long = (labels: readonly string[]) => labels.filter((label) => t.x.shape[t.labels.indexOf(label)] !== 1).join();
  const swapped = long(t.labels) === long([...batch, ...columns, ...rows]) &&
    long(t.labels) !== long([...batch, ...rows, ...columns]);
  const groups = swapped ? [batch, columns, rows] : [batch, rows, columns];
  const sizes = groups.map((group) => sizeOf(group.map((label) => t.x.shape[t.labels.indexOf(label)]!)));
  return { x: reshape(inOrder(t, groups.flat()), batch.length ? sizes : sizes.slice(1)), swapped };
}
