/**
 * Elements of any 32-bit type as u32 keys of the same order, for the kernels that compare and move them.
 *
 * @module
 */
import type { DType } from "../program/graph.ts";

/** Element types with keys; f16 is compared as f32. */
export const ORDERED: readonly DType[] = ["f32", "i32", "u32"];

/**
 * WGSL of `fn keys_of(bits: C) -> C`: unsigned numbers in the order of the elements, or in the opposite one. 0 and -0 are
 * equal, and NaN comes after all numbers in either order.
 */
export function keysCode(dtype: DType, descending: boolean): string {
  const flip = descending ? "~" : "";
  if (dtype !== "f32") {
    return `fn keys_of(bits: C) -> C { return ${flip}(bits ^ C(${dtype === "i32" ? SIGN : "0u"})); }`;
  }
  return `fn keys_of(bits: C) -> C {
  let number = select(bits, C(0u), bits == C(${SIGN}));
  let key = select(number | C(${SIGN}), ~number, number >= C(${SIGN}));
  return select(${flip}key, C(0xffffffffu), (bits & C(0x7fffffffu)) > C(0x7f800000u));
}`;
}

const SIGN = "0x80000000u";
