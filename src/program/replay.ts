/**
 * A graph once more with other tensors in the place of some.
 *
 * @module
 */
import { valueKey } from "./fuse.ts";
import { applyAll, type Node, type Tensor } from "./graph.ts";

/** The nodes on a path from `sources` to `outputs`, without the sources, in order. */
export function dependents(outputs: readonly Tensor[], sources: readonly Tensor[]): Node[] {
  const first = Math.min(...sources.map((t) => t.node.id)), own = new Set(sources.map((t) => t.node));
  const seen = new Set<Node>(), stack = outputs.map((t) => t.node);
  while (stack.length) {
    const node = stack.pop()!;
    if (node.id <= first || seen.has(node) || own.has(node)) continue;
    seen.add(node);
    for (const { node: input } of node.inputs) stack.push(input);
  }
  const found = new Set<Node>();
  for (const node of [...seen].sort((a, b) => a.id - b.id)) {
    if (node.inputs.some((t) => own.has(t.node) || found.has(t.node))) found.add(node);
  }
  return [...found];
}

/** `outputs` with `nodes` applied again, `replaced` (from the keys of tensors) in the place of what they were applied to. */
export function replay(
  outputs: readonly Tensor[],
  nodes: readonly Node[],
  replaced: ReadonlyMap<number, Tensor>,
): Tensor[] {
  const known = new Map(replaced);
  const of = (t: Tensor): Tensor => known.get(valueKey(t)) ?? t;
  for (const node of nodes) {
    applyAll(node.op, node.inputs.map(of), node.attrs).forEach((t, i) => known.set(node.firstResult + i, t));
  }
  return outputs.map(of);
}
