/**
 * Reverse-mode differentiation by adding nodes to the graph, so that gradients are fused, planned and differentiated like all else.
 *
 * @module
 */
import { Tensor } from "../program/graph.ts";
import { fromLeaves, leaves, mapTree, type Tree } from "../program/tree.ts";
import { checkOptions, type OptionKinds } from "../program/options.ts";
import { zerosLike } from "../ops/creation.ts";
import { full } from "../ops/full.ts";
import { barrier, identity, withBackward } from "../ops/shape.ts";
import { backpropagate, nodesBetween } from "./backpropagate.ts";

/** Which arguments a gradient is taken of: the number of one, from 0 on, or a list of numbers. */
export type Argnums = number | readonly number[];

/** Gradients of the arguments `N` of a list of arguments: one, or a list as that of the numbers. */
export type Gradients<A extends readonly unknown[], N extends Argnums> = N extends readonly number[]
  ? { -readonly [K in keyof N]: A[N[K] & keyof A] }
  : A[N & keyof A];

/** Options of {@linkcode grad} and {@linkcode valueAndGrad}. */
export interface GradOptions<N extends Argnums = Argnums> {
  /** The arguments that the gradient is taken of; the others are constants. Default 0. */
  readonly argnums?: N;
  /** Whether the function returns `[scalar, other results]`, and not the scalar alone. Default false. */
  readonly hasAux?: boolean;
}

/** What the overloads below are of. */
const GRAD_OPTIONS: OptionKinds<GradOptions> = { argnums: "one", hasAux: "one" };

type AnyFunction = (...args: unknown[]) => unknown;

/**
 * The value of a scalar function and its gradients, `[value, gradients]`; with `hasAux`, `[[value, others], gradients]`. The gradient of an
 * argument is a tree like it: 0 where it does not reach the value, and for integers.
 *
 * @throws {RangeError} if the function returns no scalar, or `argnums` names an argument that is not there.
 */
export function valueAndGrad<A extends readonly unknown[], X, const N extends Argnums = 0>(
  fn: (...args: A) => readonly [Tensor, X],
  options: GradOptions<N> & { readonly hasAux: true },
): (...args: A) => [[Tensor, X], Gradients<A, N>];
/** The value of a scalar function and its gradients. */
export function valueAndGrad<A extends readonly unknown[], const N extends Argnums = 0>(
  fn: (...args: A) => Tensor,
  options?: GradOptions<N>,
): (...args: A) => [Tensor, Gradients<A, N>];
export function valueAndGrad(
  fn: AnyFunction,
  options: GradOptions = {},
): AnyFunction {
  const { argnums = 0, hasAux = false } = checkOptions("valueAndGrad", options, GRAD_OPTIONS);
  const numbers = typeof argnums === "number" ? [argnums] : argnums;
  return (...args) => {
    checkArgnums(numbers, args.length);
    const given = numbers.map((i) => args[i] as Tree);
    const [value, gradients, aux] = valueAndGradAux((own: Tree[]): [Tensor, unknown] => {
      const result = fn(...args.map((arg, i) => own[numbers.indexOf(i)] ?? arg));
      return hasAux ? result as [Tensor, unknown] : [result as Tensor, null];
    })(given);
    return [hasAux ? [value, aux] : value, typeof argnums === "number" ? gradients[0] : gradients];
  };
}

function checkArgnums(numbers: readonly number[], count: number): void {
  const fit = numbers.every((n, i) => Number.isInteger(n) && n >= 0 && n < count && numbers.indexOf(n) === i);
  if (fit && numbers.length) return;
  const range = count ? `different numbers from 0 to ${count - 1}` : "numbers of arguments, but there are none";
  throw new RangeError(`Cannot take the gradient: argnums must be ${range}: it is [${numbers}]`);
}

/** As {@linkcode valueAndGrad} of the first argument, for a function that also returns other results: `[value, gradient, others]`. */
export function valueAndGradAux<P extends Tree, A extends readonly unknown[], X>(
  fn: (params: P, ...args: A) => [Tensor, X],
): (params: P, ...args: A) => [Tensor, P, X] {
  return (params, ...args) => {
    const own = mapTree(params, identity);
    const [value, aux] = fn(own, ...args);
    if (!(value instanceof Tensor) || value.size !== 1) {
      throw new RangeError(`Cannot take the gradient: the function must return a scalar: it returned ${value}`);
    }
    const wrt = leaves(own);
    const grads = backpropagate([value], [full(value.shape, 1)], wrt);
    return [value, fromLeaves(params, grads.map((g, i) => g ?? zerosLike(wrt[i]!))), aux];
  };
}

/**
 * The gradients of a scalar function; with `hasAux`, `[gradients, others]`. See {@linkcode valueAndGrad}.
 *
 * @throws {RangeError} if the function returns no scalar, or `argnums` names an argument that is not there.
 */
export function grad<A extends readonly unknown[], X, const N extends Argnums = 0>(
  fn: (...args: A) => readonly [Tensor, X],
  options: GradOptions<N> & { readonly hasAux: true },
): (...args: A) => [Gradients<A, N>, X];
/** The gradients of a scalar function. */
export function grad<A extends readonly unknown[], const N extends Argnums = 0>(
  fn: (...args: A) => Tensor,
  options?: GradOptions<N>,
): (...args: A) => Gradients<A, N>;
export function grad(fn: AnyFunction, options: GradOptions = {}): AnyFunction {
  checkOptions("grad", options, GRAD_OPTIONS);
  const both = valueAndGrad(fn as (...args: unknown[]) => Tensor, options);
  return (...args) => {
    const [value, gradients] = both(...args) as [unknown, unknown];
    return options.hasAux ? [gradients, (value as [Tensor, unknown])[1]] : gradients;
  };
}

/** The results of `fn` and a function from cotangents of the results to cotangents of the arguments. */
export function vjp<A extends readonly Tree[], R extends Tree>(
  fn: (...args: A) => R,
  ...args: A
): [R, (cotangents: R) => A] {
  const own = args.map((tree) => mapTree(tree, identity)) as unknown as A;
  const result = fn(...own), wrt = own.flatMap(leaves);
  for (const node of nodesBetween(leaves(result), wrt)) node.pinned = true; // results may be read before gradients are asked for
  return [result, (cotangents) => {
    const grads = backpropagate(leaves(result), leaves(cotangents), wrt);
    return fromLeaves(args as unknown as Tree, grads.map((g, i) => g ?? zerosLike(wrt[i]!))) as unknown as A;
  }];
}

/** `forward` with a gradient rule of its own: `backward(args, results, cotangents)` gives the cotangents of the arguments. */
export function customVjp(
  forward: (...args: Tensor[]) => Tensor[],
  backward: (
    args: readonly Tensor[],
    results: readonly Tensor[],
    cotangents: readonly (Tensor | null)[],
  ) => (Tensor | null)[],
): (...args: Tensor[]) => Tensor[] {
  return (...args) => withBackward(forward(...args), args, backward);
}

/**
 * `fn` whose intermediates are not kept for the backward pass but computed again there: less memory, one more forward pass.
 * Gradients flow to the arguments only, so everything that is to be trained must be passed, not closed over.
 */
export function checkpoint<A extends readonly Tree[], R extends Tree>(fn: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    const result = fn(...args), inputs = args.flatMap(leaves);
    const wrapped = withBackward(leaves(result), inputs, (again, _, cotangents) => {
      const fresh = again.map(barrier);
      const replay = leaves(fn(...fromLeaves(args as unknown as Tree, fresh) as unknown as A));
      return backpropagate(replay, cotangents, fresh);
    });
    return fromLeaves(result, wrapped);
  };
}
