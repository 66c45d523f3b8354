/**
 * Products with Jacobians and Hessians, and these matrices, made of backward passes.
 *
 * @module
 */
import { add, multiply } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { zerosLike } from "../ops/creation.ts";
import { eye } from "../ops/diagonals.ts";
import { sum } from "../ops/reduce.ts";
import { identity, reshape } from "../ops/shape.ts";
import { sameShape, type Tensor } from "../program/graph.ts";
import { fromLeaves, leaves, type Tree } from "../program/tree.ts";
import { backpropagate } from "./backpropagate.ts";
import { grad, vjp } from "./grad.ts";
import { vmap } from "./vmap.ts";

/**
 * The results of `fn` at `primals` and their derivative in the direction `tangents` (a list of trees like the primals): `[results,
 * tangents of the results]`.
 *
 * Forward mode by two backward passes: a cotangent's product with the transposed Jacobian is linear in the cotangent, and its own
 * gradient is the product with the Jacobian. Costs about three evaluations of `fn`, and keeps its intermediates, as a gradient does.
 *
 * @throws {RangeError} if the tangents are not shaped like the primals.
 */
export function jvp<A extends readonly Tree[], R extends Tree>(
  fn: (...args: A) => R,
  primals: A,
  tangents: A,
): [R, R] {
  checkLike("jvp", "the tangents", leaves(tangents as unknown as Tree), leaves(primals as unknown as Tree));
  const [result, pull] = vjp(fn, ...primals), results = leaves(result);
  const cotangents = results.map((t) => identity(full(t.shape, 0)));
  const pulled = leaves(pull(fromLeaves(result, cotangents)) as unknown as Tree);
  const found = backpropagate(pulled, leaves(tangents as unknown as Tree), cotangents);
  return [result, fromLeaves(result, found.map((t, i) => t ?? zerosLike(results[i]!)))];
}

/**
 * The product of the Hessian of a scalar function, by its first argument, with `vector`, a tree like that argument: the gradient of the
 * gradient's product with the vector. Costs about two gradients, whatever the number of parameters (Pearlmutter 1994).
 *
 * @throws {RangeError} if the vector is not shaped like the argument.
 */
export function hessianVectorProduct<P extends Tree, A extends readonly unknown[]>(
  fn: (params: P, ...args: A) => Tensor,
): (params: P, vector: P, ...args: A) => P {
  return (params, vector, ...args) => {
    checkLike("hessianVectorProduct", "the vector", leaves(vector), leaves(params));
    const slope = (own: P): Tensor => {
      const gradients = leaves(grad((p: P) => fn(p, ...args))(own));
      return leaves(vector).map((v, i) => sum(multiply(gradients[i]!, v))).reduce((a, b) => add(a, b));
    };
    return grad(slope)(params) as P;
  };
}

/**
 * The Jacobian of a function of one tensor: [...result, ...argument], f32. All its rows are one batch of backward passes (see
 * {@linkcode vmap}): meant for results of few elements.
 */
export function jacobian(fn: (x: Tensor) => Tensor): (x: Tensor) => Tensor {
  return (x) => {
    const [y, pull] = vjp(fn, x);
    const rows = vmap((ct: Tensor) => pull(ct)[0])(reshape(eye(y.size), [y.size, ...y.shape]));
    return reshape(rows, [...y.shape, ...x.shape]);
  };
}

/** The Hessian of a scalar function of one tensor: [...argument, ...argument], f32; see {@linkcode jacobian}. */
export function hessian(fn: (x: Tensor) => Tensor): (x: Tensor) => Tensor {
  return jacobian((x) => grad(fn)(x));
}

function checkLike(name: string, role: string, given: readonly Tensor[], like: readonly Tensor[]): void {
  if (given.length === like.length && given.every((t, i) => sameShape(t.shape, like[i]!.shape))) return;
  throw new RangeError(
    `Cannot apply ${name}: ${role} must be shaped as [${like.join("; ")}]: they are [${given.join("; ")}]`,
  );
}
