/** Products of matrices. */
import * as ops from "../../../mod.ts";
import type { Operator, Operators } from "../call.ts";
import { dtypeOf, type ElementType } from "../types.ts";
import { Value } from "../value.ts";

type Tensor = ops.Tensor;

/** A product of numbers of any type, computed in f32: sums of integers are exact below 2^24. */
function inF32(f: (...xs: Tensor[]) => Tensor, type: ElementType, ...xs: readonly Tensor[]): Value {
  const y = f(...xs.map((x) => ops.cast(x, "f32")));
  return Value.from(type, dtypeOf(type) === "f32" ? y : ops.cast(y, dtypeOf(type)));
}

const matmul: Operator = (call) => inF32((a, b) => ops.matmul(a!, b!), call.type, call.x(0), call.x(1));

/** alpha * A' * B' + beta * C. */
const gemm: Operator = (call) => {
  const transposed = { transposeA: call.flag("transA"), transposeB: call.flag("transB") };
  const alpha = call.float("alpha", 1), beta = call.float("beta", 1), c = call.maybe(2);
  return inF32(
    (a, b, c) => {
      const y = ops.multiply(ops.matmul(a!, b!, transposed), alpha);
      return c ? ops.add(y, ops.multiply(c, beta)) : y;
    },
    call.type,
    call.x(0),
    call.x(1),
    ...(c ? [c] : []),
  );
};

const einsum: Operator = (call) => {
  const equation = call.string("equation", "").replaceAll(" ", "");
  return inF32((...xs) => ops.einsum(equation, ...xs), call.type, ...call.inputs.map((_, i) => call.x(i)));
};

/** By elimination with the largest pivot of each column, over the last two axes. */
const determinant: Operator = (call) => {
  const x = call.x(0), n = x.shape.at(-1)!, batch = x.shape.slice(0, -2);
  let rest = ops.reshape(x, [x.size / n / n, n, n]), y: Tensor = ops.ones([x.size / n / n]);
  for (let size = n; size > 0; size--) {
    const column = ops.squeeze(ops.slice(rest, 2, 0, 1), 2),
      row = ops.argmax(ops.abs(column), { axis: 1, keepDims: true });
    const pivot = ops.takeAlongAxis(column, row, 1), first = ops.equal(row, ops.full([], 0, "u32"));
    y = ops.multiply(y, ops.squeeze(ops.multiply(pivot, ops.where(first, 1, -1)), 1));
    if (size === 1) break;
    // The pivot's row changes place with the first.
    const place = ops.iota([1, size], 1), moved = ops.where(ops.equal(place, row), ops.full([], 0, "u32"), place);
    const order = ops.where(ops.equal(place, ops.full([], 0, "u32")), row, moved);
    const swapped = ops.takeAlongAxis(rest, ops.expandDims(order, 2), 1);
    const [top, below] = [ops.slice(swapped, 1, 0, 1), ops.slice(swapped, 1, 1, size)];
    const factor = ops.divide(ops.slice(below, 2, 0, 1), ops.expandDims(pivot, 2));
    rest = ops.slice(ops.subtract(below, ops.multiply(factor, top)), 2, 1, size);
  }
  return Value.from(call.type, ops.reshape(y, batch));
};

/** The table. */
export const products: Operators = { MatMul: matmul, Gemm: gemm, Einsum: einsum, Det: determinant };
