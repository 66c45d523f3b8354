/**
 * Differentiation.
 *
 * @module
 */
export {
  type Argnums,
  checkpoint,
  customVjp,
  grad,
  type Gradients,
  type GradOptions,
  valueAndGrad,
  valueAndGradAux,
  vjp,
} from "./grad.ts";
