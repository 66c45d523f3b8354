/**
 * Layers, initialisers and parameters.
 *
 * @module
 */
export {
  type Attack,
  clean,
  type Modality,
  perturb,
  predicted,
  type Prediction,
  underAttack,
  weighed,
} from "./attack.ts";
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
  type Fans,
  fans,
  type GainOptions,
  type Init,
  type Initializer,
  kaimingNormal,
  type KaimingOptions,
  kaimingUniform,
  lecunNormal,
  lecunUniform,
  type NormalInitOptions,
  xavierNormal,
  xavierUniform,
} from "./init.ts";
export { countParameters, initialize, mapSpecs, type ParametersOf, Spec, specEntries, type SpecTree } from "./spec.ts";
