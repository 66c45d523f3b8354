/**
 * The backward pass: the gradient rules of the nodes of a graph, from the last to the first.
 *
 * @module
 */
import { add } from "../ops/elementwise.ts";
import { identity } from "../ops/shape.ts";
import { valueKey } from "../program/fuse.ts";
import { type Node, sameShape, Tensor } from "../program/graph.ts";

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
    const grads = inputCotangents(node, cts);
    node.inputs.forEach((input, i) => useful.has(input.node) && accumulate(input, grads[i] ?? null));
  }
  return wrt.map((t) => found.get(valueKey(t)) ?? null);
}

/** The cotangents of a node's inputs: by its rule, or through the ops that it is composed of. */
function inputCotangents(node: Node, cotangents: readonly (Tensor | null)[]): (Tensor | null)[] {
  const { op, inputs, attrs } = node;
  if (op.vjp) return op.vjp(node, cotangents);
  if (!op.compose) {
    throw new Error(`Cannot differentiate through ${op.name}: it has no gradient rule; use stopGradient()`);
  }
  const own = inputs.map(identity);
  return backpropagate(op.compose(own, attrs), cotangents, own);
}

/** Nodes on some path from `wrt` to `outputs`. */
export function nodesBetween(outputs: readonly Tensor[], wrt: readonly Tensor[]): Set<Node> {
  const targets = new Set(wrt.map((t) => t.node));
  const first = Math.min(...wrt.map((t) => t.node.id));
  const above = new Set<Node>(), stack = outputs.map((t) => t.node);
  while (stack.length) {
    const node = stack.pop()!;
    if (above.has(node) || node.id < first) continue;
    above.add(node);
    for (const input of node.inputs) stack.push(input.node);
  }
  const useful = new Set<Node>();
  for (const node of [...above].sort((a, b) => a.id - b.id)) {
    if (targets.has(node) || node.inputs.some((t) => useful.has(t.node))) useful.add(node);
  }
  return useful;
}
