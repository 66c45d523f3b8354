/**
 * What an adapter's kernels are chosen by beside its profile: those that gave wrong values on it, and the fastest products.
 *
 * @module
 */

/** How products of a class of shapes are computed. */
export interface ProductChoice {
  /** Name of the kernel's variant. */
  readonly variant: string;
  /** Parts into which the inner axis is cut; they are summed in a second pass. */
  readonly splits: number;
}

/** What to choose kernels by. */
export interface KernelChoices {
  /** Kernels that gave wrong values on this adapter, by the names below or `matmul VARIANT`: plainer ones take their place. */
  readonly avoid: readonly string[];
  /** The products that were fastest, by class of shapes (`shapeClass`); the built-in rule chooses the others. */
  readonly products: Readonly<Record<string, ProductChoice>>;
}

/** Kernels of which a plainer form computes the same. Those of matrix products are avoided variant by variant. */
export const avoidable = {
  /** Lanes of a subgroup that share what they load: each loads for itself. */
  subgroups: "subgroups",
  /** Storage in 16 bits: what needs it is refused. */
  f16: "f16",
  /** Attention whose threads share keys and values: each loads its own. */
  attention: "attention shared",
  /** Rows (softmax, layer norm, reductions, losses) that several threads share: one takes a row. */
  rows: "rows shared",
  /** Convolutions that keep segments of lines in registers: one thread computes a result. */
  segments: "convolution segments",
} as const;

/** Whether kernels of a name are to be avoided. */
export function avoids({ choices }: { readonly choices?: KernelChoices }, name: string): boolean {
  return choices?.avoid.includes(name) ?? false;
}
