/**
 * Layers, initialisers and parameters.
 *
 * @module
 */
export {
  type Affine,
  type AffineSpec,
  batchNormSpec,
  batchNormStateSpec,
  defaultLinearSpec,
  groupNormSpec,
  layerNormSpec,
  linear,
  linearSpec,
  rmsNormSpec,
} from "./layers.ts";
export { countParameters, type Init, initialize, type ParametersOf, Spec, specEntries, type SpecTree } from "./spec.ts";
