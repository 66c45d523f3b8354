/**
 * Differentiation.
 *
 * @module
 */
export { checkpoint, customVjp, grad, valueAndGrad, valueAndGradAux, vjp } from "./grad.ts";
