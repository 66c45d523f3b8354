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
export { hessian, hessianVectorProduct, jacobian, jvp } from "./derivatives.ts";
export { scan, type ScanLoopOptions } from "./scan.ts";
export { type BatchAxes, vmap, type VmapOptions } from "./vmap.ts";
export { type LoopEnd, whileLoop, type WhileLoopOptions } from "./while_loop.ts";
