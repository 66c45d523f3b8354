/**
 * Tensors that hold one number everywhere.
 *
 * @module
 */
import { apply, type DType, type Op, type Tensor } from "../program/graph.ts";
import { f32Bits } from "../program/lowering.ts";

interface FullAttrs {
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** The number as a u32 word. */
  readonly word: number;
}

const expressions: Record<DType, string> = {
  f32: "V(bitcast<f32>(#0))",
  f16: "V(bitcast<f32>(#0))",
  i32: "I(bitcast<i32>(#0))",
  u32: "U(#0)",
};

const fullOp: Op<FullAttrs> = {
  name: "full",
  infer: (_, { shape, dtype }) => [{ shape, dtype }],
  expression: ({ dtype, word }) => ({ text: expressions[dtype], uniforms: [word] }),
  recompute: true,
};

/**
 * A number of an element type as a u32 word.
 *
 * @throws {TypeError} if the type is one of integers and the value is none, {@linkcode RangeError} if it does not hold the value.
 */
export function wordOf(value: number, dtype: DType): number {
  const float = dtype === "f32" || dtype === "f16";
  if (!float && !Number.isInteger(value)) {
    throw new TypeError(`Cannot fill a tensor of type ${dtype}: the value must be an integer: it is ${value}`);
  }
  if (dtype === "i32" ? value !== (value | 0) : dtype === "u32" && value !== value >>> 0) {
    throw new RangeError(`Cannot fill a tensor of type ${dtype}: the value must fit 32 bits: it is ${value}`);
  }
  return float ? f32Bits(value) : value >>> 0;
}

/**
 * A tensor of `shape` filled with `value`; nothing is stored unless an op needs it in memory.
 *
 * @throws {TypeError} if the type is one of integers and the value is none, {@linkcode RangeError} if it does not hold the value.
 */
export function full(shape: readonly number[], value: number, dtype: DType = "f32"): Tensor {
  return apply(fullOp, [], { shape, dtype, word: wordOf(value, dtype) });
}
