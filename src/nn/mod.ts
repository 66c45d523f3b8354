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
  conv1dSpec,
  conv2dSpec,
  convTranspose2dSpec,
  defaultLinearSpec,
  groupNormSpec,
  layerNormSpec,
  linear,
  linearSpec,
  rmsNormSpec,
} from "./layers.ts";
export {
  countParameters,
  type Init,
  initialize,
  mapSpecs,
  type ParametersOf,
  Spec,
  specEntries,
  type SpecTree,
} from "./spec.ts";
