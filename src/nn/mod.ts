/**
 * Layers, initialisers and parameters.
 *
 * @module
 */
export { type Affine, type AffineSpec, defaultLinearSpec, layerNormSpec, linear, linearSpec } from "./layers.ts";
export { countParameters, type Init, initialize, type ParametersOf, Spec, specEntries, type SpecTree } from "./spec.ts";
