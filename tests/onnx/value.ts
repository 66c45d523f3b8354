/**
 * Values of ONNX's element types, represented in ours: floats as f32, signed integers as i32, unsigned ones as u32, bools as
 * f32 0 or 1. What a narrower type cannot hold is rounded (float16, bfloat16) or taken modulo its size (integers) after every
 * operator. Integers beyond 32 bits stay on the host; an operator that needs them on the GPU is not expressible.
 */
import {
  abs,
  bitwiseAnd,
  cast,
  greaterEqual,
  leftShift,
  multiply,
  rightShift,
  sign,
  type Tensor,
  tensor,
  toHost,
  where,
} from "../../mod.ts";
import { bitsOf, dtypeOf, type ElementType, isInteger, NotExpressible, rangeOf, sizeOf } from "./types.ts";

/** An array of one of ONNX's element types: its numbers on the host, or a tensor, or both. Axes may be empty. */
export class Value {
  #tensor: Tensor | undefined;
  #numbers: ArrayLike<number> | undefined;

  private constructor(
    readonly type: ElementType,
    readonly shape: readonly number[],
    source: Tensor | ArrayLike<number>,
  ) {
    dtypeOf(type);
    if ("node" in source) this.#tensor = source;
    else this.#numbers = source;
  }

  /** A value of numbers of its type. */
  static of(type: ElementType, shape: readonly number[], numbers: ArrayLike<number>): Value {
    if (numbers.length !== sizeOf(shape)) {
      throw new Error(`Cannot make a value of shape [${shape}]: there are ${numbers.length} numbers`);
    }
    return new Value(type, shape, numbers);
  }

  /** A value that is computed, as its type holds it. */
  static from(type: ElementType, t: Tensor): Value {
    return new Value(type, t.shape, fitted(type, t));
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** The value as a tensor. */
  get tensor(): Tensor {
    return this.#tensor ??= this.#upload();
  }

  #upload(): Tensor {
    const dtype = dtypeOf(this.type), numbers = this.#numbers!;
    if (!this.size) throw new NotExpressible("tensors without elements");
    if (dtype === "f32" && this.type === "float16") {
      return cast(tensor(new Uint16Array(Float16Array.from(numbers).buffer), this.shape, "f16"), "f32");
    }
    if (dtype === "f32") {
      const f32 = Float32Array.from(numbers);
      if (f32.some((x, i) => Math.abs(x) === Infinity && Math.abs(numbers[i]!) < Infinity)) {
        throw new NotExpressible("doubles beyond the range of f32");
      }
      return tensor(f32, this.shape);
    }
    const [least, most] = rangeOf(dtype === "i32" ? "int32" : "uint32");
    if (Array.from(numbers).some((x) => x < least || x > most)) {
      throw new NotExpressible("integers beyond 32 bits");
    }
    return dtype === "i32"
      ? tensor(Int32Array.from(numbers), this.shape)
      : tensor(Uint32Array.from(numbers), this.shape);
  }

  /** The numbers, in row-major order. */
  async numbers(): Promise<ArrayLike<number>> {
    return this.#numbers ??= await toHost(this.#tensor!);
  }

  /** The numbers of several values, read at once. */
  static async readAll(values: readonly Value[]): Promise<ArrayLike<number>[]> {
    const open = values.filter((v) => !v.#numbers), read = await toHost(open.map((v) => v.#tensor!));
    open.forEach((v, i) => v.#numbers = read[i]!);
    return values.map((v) => v.#numbers!);
  }

  /** The same elements in another shape. Known integers of 64 bits, which are shapes mostly, stay on the host. */
  reshaped(shape: readonly number[], reshape: (t: Tensor, shape: readonly number[]) => Tensor): Value {
    const stay = this.#numbers && (!this.size || (isInteger(this.type) && bitsOf(this.type) === 64));
    return new Value(this.type, shape, stay ? this.#numbers! : reshape(this.tensor, shape));
  }
}

/** What a type holds of the numbers of a tensor. */
function fitted(type: ElementType, t: Tensor): Tensor {
  const x = cast(t, dtypeOf(type));
  if (type === "float16") return toF16(x);
  if (!isInteger(type) || bitsOf(type) >= 32) return x;
  const bits = bitsOf(type);
  if (type.startsWith("u")) return bitwiseAnd(x, 2 ** bits - 1);
  return rightShift(leftShift(x, 32 - bits), 32 - bits);
}

/** Rounded to float16; from 65520 on infinite. */
function toF16(x: Tensor): Tensor {
  const rounded = cast(cast(x, "f16"), "f32");
  return where(greaterEqual(abs(x), 65520), multiply(sign(x), Infinity), rounded);
}

/** The number of type bfloat16 that is nearest to x, of two the even one. */
export function roundToBfloat16(x: number): number {
  const words = new Uint32Array(Float32Array.of(x).buffer), word = words[0]!;
  if (Number.isNaN(x)) return x;
  words[0] = (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(words.buffer)[0]!;
}
