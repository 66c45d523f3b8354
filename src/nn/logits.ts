/**
 * Logits that are kept as the factors of a product.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";

/** Logits queries keys^T * scale + bias, [R, K], that are never whole. */
export type Logits = {
  /** [R, D]. */
  readonly queries: Tensor;
  /** [K, D]. */
  readonly keys: Tensor;
  /** [K]. */
  readonly bias?: Tensor;
  /** Scalar, the inverse temperature. */
  readonly scale?: Tensor;
};
