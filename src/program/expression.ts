/**
 * Element-wise computation as text, so that chains of it become one kernel.
 *
 * @module
 */

/**
 * One result element as WGSL. The text may use
 * - `$0`, `$1`, ...: the input elements (after broadcasting), of the vector type `V`;
 * - `V(...)`: a literal or a splat, `V` being f32 or vec4<f32>, whichever the kernel works in; `I` and `U` for i32 and u32;
 * - `#0`, `#1`, ...: the op's `uniforms`, scalar u32;
 * - `@`: the linear index of the (first) element, u32;
 * - `$0{p}`: of an input among `arrays`, the element at p, a scalar u32 that depends on `@`; in a kernel of vectors p is evaluated for
 *   each of the four.
 *
 * It may call the functions of `kernels/elementwise.wgsl`, `division.wgsl`, `math.wgsl`, `trigonometry.wgsl`, `hyperbolic.wgsl` and
 * `activations.wgsl`, which are written for both widths.
 */
export interface Expression {
  /** WGSL with placeholders, see above. */
  readonly text: string;
  /** Inputs that are not broadcast but indexed as arrays of scalars: `$0[1u]`. */
  readonly arrays?: readonly number[];
  /** Whether each p of `$0{p}` takes whole vectors to whole vectors: for the first of four it is a multiple of 4, the others follow. */
  readonly fours?: boolean;
  /** Whether the text uses `@`, so that the op can only be fused where its own shape is the kernel's. */
  readonly indexed?: boolean;
  /** u32 words that differ between uses of the same text. Floats travel as their bits. */
  readonly uniforms?: readonly number[];
}

/** WGSL of quotient and remainder for numbers below `most`: by the functions of kernels/prelude.wgsl where these are exact. */
export function division(most: number): Readonly<Record<"div" | "mod", (n: string, d: string) => string>> {
  const small = most < 2 ** 24;
  return {
    div: (n, d) => small ? `quotient(${n}, ${d})` : `(${n} / ${d})`,
    mod: (n, d) => small ? `remainder(${n}, ${d})` : `(${n} % ${d})`,
  };
}
