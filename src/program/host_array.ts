/**
 * Host arrays of the element types: made from numbers and nested lists, each number checked, and copied at the border.
 *
 * @module
 */
import type { DType, HostArray } from "./graph.ts";

/** The array type that holds the values of each element type; those of f16 are bit patterns. */
export const hostArrays = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, f16: Uint16Array } as const;

/** Numbers in lists of lists, all of one length at each depth. */
export type NestedNumbers = number | readonly NestedNumbers[];

/** The smallest and the largest number of each integer type. */
const INTEGERS = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const;

/** The element type that a typed array holds; f32 for numbers and lists. */
export function naturalType(data: NestedNumbers | HostArray): DType {
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint32Array) return "u32";
  return data instanceof Uint16Array ? "f16" : "f32";
}

/**
 * The shape of nested lists.
 *
 * @throws {RangeError} if lists at one depth differ in length.
 */
export function shapeOf(data: NestedNumbers): number[] {
  if (!Array.isArray(data)) return [];
  if (data.every((x) => !Array.isArray(x))) return [data.length];
  const shapes = (data as NestedNumbers[]).map(shapeOf), first = shapes[0] ?? [];
  const other = shapes.find((s) => s.join() !== first.join());
  if (other) {
    throw new RangeError(
      `Cannot make a tensor: lists at one depth must have one shape: there are [${first}] and [${other}]`,
    );
  }
  return [data.length, ...first];
}

/**
 * The numbers of nested lists in row-major order, converted to an element type.
 *
 * @throws {TypeError} if an element is no number, {@linkcode RangeError} if an integer type does not hold a number.
 */
export function fromNumbers(data: NestedNumbers, dtype: DType): HostArray {
  const numbers = (typeof data === "number" ? [data] : (data as number[]).flat(Infinity)) as number[];
  const wrong = numbers.find((x) => typeof x !== "number");
  if (wrong !== undefined) throw new TypeError(`Cannot make a tensor: elements must be numbers: one is ${wrong}`);
  if (dtype === "f16") return new Uint16Array(Float16Array.from(numbers).buffer);
  if (dtype !== "f32") {
    const [least, most] = INTEGERS[dtype], outside = numbers.find((x) => !(Math.trunc(x) >= least && x <= most));
    if (outside !== undefined) {
      throw new RangeError(
        `Cannot make a tensor: numbers of type ${dtype} must lie from ${least} to ${most}: one is ${outside}`,
      );
    }
  }
  return hostArrays[dtype].from(numbers);
}
