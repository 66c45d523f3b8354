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
 * - `@`: the linear index of the (first) element, u32.
 *
 * It may call the functions of `kernels/elementwise.wgsl`, `division.wgsl`, `math.wgsl`, `trigonometry.wgsl`, `hyperbolic.wgsl` and
 * `activations.wgsl`, which are written for both widths.
 */
export interface Expression {
  /** WGSL with placeholders, see above. */
  readonly text: string;
  /** Inputs that are not broadcast but indexed as arrays of scalars: `$0[1u]`. */
  readonly arrays?: readonly number[];
  /** Whether the text uses `@`, so that the op can only be fused where its own shape is the kernel's. */
  readonly indexed?: boolean;
  /** u32 words that differ between uses of the same text. Floats travel as their bits. */
  readonly uniforms?: readonly number[];
}
