/**
 * Reverse-mode differentiation by adding nodes to the graph, so that gradients are fused, planned and differentiated like all else.
 *
 * @module
 */
import { sameShape, Tensor } from "../program/graph.ts";
import { valueKey } from "../program/fuse.ts";
import { fromLeaves, leaves, mapTree, type Tree } from "../program/tree.ts";
import { zerosLike } from "../ops/creation.ts";
import { add } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { barrier, identity, withBackward } from "../ops/shape.ts";

/** Cotangents of `wrt` (null: not reached) given those of `outputs`. */
export function backpropagate(
  outputs: readonly Tensor[],
  cotangents: readonly (Tensor | null)[],
  wrt: readonly Tensor[],
): (Tensor | null)[] {
  const found = new Map<number, Tensor>();
  const accumulate = (t: Tensor, ct: Tensor | null): void => {
    if (!ct) return;
    if (!sameShape(ct.shape, t.shape)) {
      throw new Error(`The gradient rule of a consumer of ${t.node.op.name} gave [${ct.shape}] for ${t}`);
    }
    const key = valueKey(t), before = found.get(key);
    found.set(key, before ? add(before, ct) : ct);
  };
  const useful = nodesBetween(outputs, wrt);
  const targets = new Set(wrt.map((t) => t.node));
  outputs.forEach((t, i) => accumulate(t, cotangents[i]!));
  for (const node of [...useful].sort((a, b) => b.id - a.id)) {
    if (targets.has(node)) continue;
    const cts = node.avals.map((_, i) => found.get(valueKey(new Tensor(node, i))) ?? null);
    if (cts.every((ct) => ct === null)) continue;
    if (!node.op.vjp) {
      throw new Error(`Cannot differentiate through ${node.op.name}: it has no gradient rule; use stopGradient()`);
    }
    const grads = node.op.vjp(node, cts);
    node.inputs.forEach((input, i) => useful.has(input.node) && accumulate(input, grads[i] ?? null));
  }
  return wrt.map((t) => found.get(valueKey(t)) ?? null);
}

/** Nodes on some path from `wrt` to `outputs`. */
function nodesBetween(outputs: readonly Tensor[], wrt: readonly Tensor[]): Set<Tensor["node"]> {
  const targets = new Set(wrt.map((t) => t.node));
  const first = Math.min(...wrt.map((t) => t.node.id));
  const above = new Set<Tensor["node"]>(), stack = outputs.map((t) => t.node);
  while (stack.length) {
    const node = stack.pop()!;
    if (above.has(node) || node.id < first) continue;
    above.add(node);
    for (const input of node.inputs) stack.push(input.node);
  }
  const useful = new Set<Tensor["node"]>();
  for (const node of [...above].sort((a, b) => a.id - b.id)) {
    if (targets.has(node) || node.inputs.some((t) => useful.has(t.node))) useful.add(node);
  }
  return useful;
}

/** The value of a scalar function and its gradient with respect to the first argument. */
export function valueAndGrad<P extends Tree, A extends readonly unknown[]>(
  fn: (params: P, ...args: A) => Tensor,
): (params: P, ...args: A) => [Tensor, P] {
  const withAux = valueAndGradAux((params: P, ...args: A) => [fn(params, ...args), null]);
  return (params, ...args) => {
    const [value, grads] = withAux(params, ...args);
    return [value, grads];
  };
}

/** As {@linkcode valueAndGrad}, for a function that also returns other results. */
export function valueAndGradAux<P extends Tree, A extends readonly unknown[], X>(
  fn: (params: P, ...args: A) => [Tensor, X],
): (params: P, ...args: A) => [Tensor, P, X] {
  return (params, ...args) => {
    const own = mapTree(params, identity);
    const [value, aux] = fn(own, ...args);
    if (value.size !== 1) {
      throw new RangeError(`Cannot take the gradient: the function must return a scalar: it returned ${value}`);
    }
    const wrt = leaves(own);
    const grads = backpropagate([value], [full(value.shape, 1)], wrt);
    return [value, fromLeaves(params, grads.map((g, i) => g ?? zerosLike(wrt[i]!))), aux];
  };
}

/** The gradient of a scalar function with respect to its first argument. */
export function grad<P extends Tree, A extends readonly unknown[]>(
  fn: (params: P, ...args: A) => Tensor,
): (params: P, ...args: A) => P {
  const both = valueAndGrad(fn);
  return (params, ...args) => both(params, ...args)[1];
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
