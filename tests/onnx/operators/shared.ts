/** What operators of several topics need. */
import { concat, reshape, take, type Tensor, tensor } from "../../../mod.ts";
import { type ElementType, sizeOf } from "../types.ts";
import { Value } from "../value.ts";

/** The shape that shapes are broadcast to, by NumPy's rule. */
export function broadcastShape(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const lengths = shapes.map((s) => s[s.length - rank + i] ?? 1), longest = lengths.find((n) => n !== 1) ?? 1;
    if (lengths.some((n) => n !== 1 && n !== longest)) {
      throw new RangeError(
        `Cannot broadcast shapes ${shapes.map((s) => `[${s}]`).join(", ")}: axes must be equal or 1`,
      );
    }
    return longest;
  });
}

/** Strides of a row-major shape, in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, i) => sizeOf(shape.slice(i + 1)));
}

/** All places of a shape in row-major order. */
export function placesOf(shape: readonly number[]): number[][] {
  const strides = stridesOf(shape);
  return Array.from({ length: sizeOf(shape) }, (_, i) => shape.map((n, axis) => Math.floor(i / strides[axis]!) % n));
}

/** Integers from the host as i32. */
export function indices(numbers: readonly number[], shape: readonly number[] = [numbers.length]): Tensor {
  return tensor(Int32Array.from(numbers), shape);
}

/** A value of one number everywhere; empty shapes too. */
export function filled(type: ElementType, shape: readonly number[], number: number): Value {
  return Value.of(type, shape, new Array(sizeOf(shape)).fill(number));
}

/** Joined along an axis. */
export function joined(parts: readonly Tensor[], axis: number): Tensor {
  return parts.length === 1 ? parts[0]! : concat(parts, axis);
}

/** The elements at places of the flattened last `rank` axes: [...outer, ...shape of places]; `fill` where a place is -1. */
export function takeFlat(
  x: Tensor,
  rank: number,
  places: readonly number[],
  shape: readonly number[],
  fill = 0,
): Tensor {
  const outer = x.shape.slice(0, x.shape.length - rank), inner = sizeOf(x.shape.slice(x.shape.length - rank));
  const at = places.map((p) => p < 0 ? inner : p); // beyond the last: gives `fill`
  return take(reshape(x, [...outer, inner]), indices(at, shape), outer.length, { fill });
}

/** x [C] over axis 1 of a tensor of that rank. */
export function perChannel(x: Tensor, rank: number): Tensor {
  return reshape(x, [1, x.size, ...Array(rank - 2).fill(1)]);
}
