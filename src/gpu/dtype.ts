/**
 * Element types of values in GPU memory.
 *
 * @module
 */

/** Element types. f16 is a storage type: arithmetic is in f32. */
export type DType = "f32" | "i32" | "u32" | "f16";
