/**
 * The head that fine-tuning puts on the [CLS] state to choose among classes (Li et al. 2021, section 5).
 *
 * @module
 */
import { type AffineSpec, defaultLinearSpec, linear } from "../nn/layers.ts";
import type { ParametersOf } from "../nn/spec.ts";
import { relu } from "../ops/elementwise.ts";
import type { Tensor } from "../program/graph.ts";
import { firstToken } from "./albef.ts";

/** Two linear maps with a ReLU between them, under the official numbers. */
export type ClassHeadSpec = { 0: AffineSpec; 2: AffineSpec };

/** Shapes and starting values. */
export function classHeadSpec(width: number, classes: number): ClassHeadSpec {
  return { 0: defaultLinearSpec(width, width), 2: defaultLinearSpec(width, classes) };
}

/** Logits of the classes: token states [B, L, D] -> [B, classes]. */
export function classHead(p: ParametersOf<ClassHeadSpec>, states: Tensor): Tensor {
  return linear(p[2], relu(linear(p[0], firstToken(states))));
}
