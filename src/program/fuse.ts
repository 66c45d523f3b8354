/**
 * Which nodes run together: element-wise ops join the kernel that makes their input, or one another.
 *
 * @module
 */
import { type Node, type Op, Tensor } from "./graph.ts";

/** Nodes that one lowering computes: a root kernel with element-wise ops in its epilogue, or element-wise ops alone. */
export interface Group {
  root: Node | null;
  /** Element-wise nodes in order. */
  members: Node[];
}

/** A tensor that is stored, and the element offset of a view into it. */
export interface Resolved {
  readonly base: Tensor;
  readonly offset: number;
  /** A checkpoint lies between: fusing across it would undo the recomputation. */
  readonly barrier: boolean;
}

/** Follows views down to the value that is stored. */
export function resolve(t: Tensor): Resolved {
  let offset = 0, barrier = false;
  while (t.node.op.view && !isLeaf(t)) {
    const view = t.node.op.view(t.node, t.index);
    barrier ||= t.node.op.name === "barrier";
    offset += view.offset;
    t = t.node.inputs[view.input]!;
  }
  return { base: t, offset, barrier };
}

/** Whether a tensor's value is there before the program runs and is taken from there: inline nodes are computed again. */
export function isLeaf(t: Tensor): boolean {
  return (!!t.node.storage[t.index] && !t.node.inline) || !!t.node.host || t.node.op.name === "input";
}

/** A key for maps of tensors: two tensors that are the same result of the same node have the same key. */
export function valueKey(t: Tensor): number {
  return t.node.firstResult + t.index;
}

/** A function of a node's structure, which does not change, computed once per node. */
function remembered<T>(compute: (node: Node) => T): { (node: Node): T; forget(node: Node): void } {
  const known = new WeakMap<Node, T>();
  const of = (node: Node): T => {
    if (!known.has(node)) known.set(node, compute(node));
    return known.get(node)!;
  };
  return Object.assign(of, { forget: (node: Node) => void known.delete(node) });
}

/**
 * Lets go of what a node was computed from, once all its results are there, so that memory of a long chain of values comes back.
 * What is computed anew wherever it is used keeps it, and so does what a gradient may still be taken through.
 */
export function forgetInputs(node: Node): void {
  if (node.pinned || node.inline || node.avals.some((_, i) => !node.storage[i])) return;
  node.inputs = [];
  loads.forget(node);
}

/** Whether an inline node depends on positions, so that it can only be computed where its own shape is the kernel's. */
const isIndexed: (node: Node) => boolean = remembered((node) =>
  !!expressionOf(node).indexed || (!node.op.recompute && node.inputs.some((t) => isIndexed(t.node)))
);

/** The expression of an element-wise node. */
export function expressionOf(node: Node): ReturnType<NonNullable<Op["expression"]>> {
  return node.op.expression!(node.attrs, node.inputs);
}

/** All nodes that `outputs` need, in order of creation, without views and leaves; inline nodes only where they must be stored. */
export function reachable(outputs: readonly Tensor[]): Node[] {
  const seen = new Set<Node>();
  const stack = outputs.map((t) => resolve(t).base);
  while (stack.length) {
    const base = stack.pop()!;
    if (isLeaf(base) || seen.has(base.node)) continue;
    seen.add(base.node);
    stack.push(...loads(base.node).map((t) => resolve(t).base));
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** The tensors that a node reads from memory: its inputs, through those that it computes itself. */
export const loads: { (node: Node): readonly Tensor[]; forget(node: Node): void } = remembered((node) =>
  node.inputs.flatMap((t) => canInline(t, node) ? loads(resolve(t).base.node) : [t])
);

/** Whether `consumer` computes its input itself instead of loading it: constants always, random numbers at equal positions. */
export function canInline(input: Tensor, consumer: Node): boolean {
  const { base } = resolve(input);
  if (!consumer.op.expression || consumer.op.recompute || isLeaf(base) || !base.node.inline) return false;
  if (expressionOf(consumer).arrays) return false; // an array is memory
  return !isIndexed(base.node) || (base === input && input.size === new Tensor(consumer).size);
}

/** How many nodes apart two fused nodes may be: farther ones would keep the inputs of a kernel alive for long. */
const REACH = 64;
/** How many nodes one kernel may hold: compilers take longer than it saves for more. */
const GROUP_SIZE = 32;

/** Groups in an order in which they can run. `outputs` are stored whoever else uses them. */
export function fuse(nodes: readonly Node[], outputs: readonly Tensor[], maxBindings: number): Group[] {
  const groups = new Map<Node, Group>(), bindings = bindingCounter(nodes, outputs);
  for (const node of nodes) {
    groups.set(node, node.op.expression ? { root: null, members: [node] } : { root: node, members: [] });
  }
  const inputsOf = (g: Group): Set<Group> => {
    const found = new Set<Group>();
    for (const node of nodesOf(g)) {
      for (const t of loads(node)) {
        const from = groups.get(resolve(t).base.node);
        if (from && from !== g) found.add(from);
      }
    }
    return found;
  };
  const readers = readersOf(nodes);
  /** The last node among those of a group and of all groups that it waits for, which may be later than its own. */
  const ends = new Map<Group, number>();
  const endOf = (g: Group): number => ends.get(g) ?? lastId(g);
  const raiseEnd = (g: Group, end: number): void => {
    const stack = [g];
    while (stack.length) {
      const top = stack.pop()!;
      if (endOf(top) >= end) continue;
      ends.set(top, end);
      for (const node of nodesOf(top)) for (const reader of readers.get(node) ?? []) stack.push(groups.get(reader)!);
    }
  };
  const leadsAround = (from: Group, to: Group): boolean => {
    const first = Math.min(...nodesOf(from).map((n) => n.id)), seen = new Set<Group>();
    const stack = [...inputsOf(to)].filter((g) => g !== from);
    while (stack.length) {
      const g = stack.pop()!;
      if (g === from) return true;
      if (seen.has(g) || endOf(g) < first) continue;
      seen.add(g);
      stack.push(...inputsOf(g));
    }
    return false;
  };
  for (const node of nodes) {
    if (!node.op.expression) continue;
    const result = new Tensor(node);
    for (const t of node.inputs) {
      if (canInline(t, node)) continue;
      const { base, offset, barrier } = resolve(t);
      const from = groups.get(base.node), to = groups.get(node)!;
      if (!from || from === to || barrier || offset !== 0 || node.id - base.node.id > REACH) continue;
      if (base.size !== result.size || base.size !== t.size || isVector(base) !== isVector(result)) continue;
      if (from.root && (to.root || base.node !== from.root || base.index !== 0 || !from.root.op.emits)) {
        if (to.root || !from.members.includes(base.node)) continue;
      }
      const both = [...nodesOf(from), ...nodesOf(to)];
      if (both.length > GROUP_SIZE || bindings(both, from.root ?? to.root) > maxBindings) continue;
      if (!selfContained(from, to) || leadsAround(from, to)) continue;
      from.root ??= to.root;
      from.members = [...from.members, ...to.members].sort((a, b) => a.id - b.id);
      for (const n of nodesOf(to)) groups.set(n, from);
      const end = Math.max(endOf(from), endOf(to));
      ends.set(from, 0); // so that it is told, and those that wait for it
      raiseEnd(from, end);
    }
  }
  return order([...new Set(groups.values())], inputsOf);
}

/** Whether rows are whole vectors of four; kernels of one width are not mixed with the other. */
function isVector(t: Tensor): boolean {
  return (t.shape.at(-1) ?? 1) % 4 === 0;
}

/** All nodes of a group. */
export function nodesOf(g: Group): Node[] {
  return g.root ? [g.root, ...g.members] : g.members;
}

/**
 * Whether everything that two groups read of one another is the same element of a value that one kernel has at hand. A root
 * reads its inputs from memory, so nothing of its own kernel can be among them.
 */
function selfContained(a: Group, b: Group): boolean {
  const own = new Set([...nodesOf(a), ...nodesOf(b)]);
  return [...own].every((node) =>
    loads(node).every((t) => {
      const { base, offset } = resolve(t);
      if (!own.has(base.node)) return true;
      return node !== a.root && node !== b.root && base.index === 0 && offset === 0 && base.size === t.size &&
        t.size === new Tensor(node).size;
    })
  );
}

function lastId(g: Group): number {
  return Math.max(...nodesOf(g).map((n) => n.id));
}

/** Storage buffers that a root binds beside its inputs, at most: further results and scratch memory. */
const ROOT_BINDINGS = 4;

/** The nodes that read the results of each node from memory. */
function readersOf(nodes: readonly Node[]): Map<Node, Node[]> {
  const readers = new Map<Node, Node[]>();
  for (const node of nodes) {
    for (const t of loads(node)) {
      const { node: from } = resolve(t).base;
      if (!readers.get(from)?.push(node)) readers.set(from, [node]);
    }
  }
  return readers;
}

/** Counts the storage buffers that nodes bind when they run together: what they read of others, and what others read of them. */
function bindingCounter(
  nodes: readonly Node[],
  outputs: readonly Tensor[],
): (group: readonly Node[], root: Node | null) => number {
  const readers = readersOf(nodes), kept = new Set(outputs.map((t) => resolve(t).base.node));
  return (group, root) => {
    const own = new Set(group), read = new Set<string>();
    for (const node of group) {
      for (const t of loads(node)) {
        const { base, offset } = resolve(t);
        if (!own.has(base.node)) read.add(`${valueKey(base)}+${offset}:${t.size}:${readsVectors(t, node)}`);
      }
    }
    const stored = group.filter((n) => n !== root && (kept.has(n) || readers.get(n)?.some((r) => !own.has(r))));
    return read.size + stored.length + (root ? ROOT_BINDINGS : 0);
  };
}

/** Whether a node reads an input in vectors, as along rows, or in scalars, as across them: a value read in both ways has two bindings. */
function readsVectors(t: Tensor, { op, attrs, inputs }: Node): boolean {
  const { arrays, fours = false } = op.expression?.(attrs, inputs) ?? {};
  return arrays ? fours : (t.shape.at(-1) ?? 1) > 1;
}

/** Topological order; among groups that can run, the one whose last node was created first. */
function order(groups: readonly Group[], inputsOf: (g: Group) => Set<Group>): Group[] {
  const keyed = [...groups].map((g) => ({ g, key: lastId(g) })).sort((a, b) => a.key - b.key).map((k) => k.g);
  const done = new Set<Group>(), out: Group[] = [];
  const place = (g: Group): void => {
    const stack = [g];
    while (stack.length) {
      const top = stack[stack.length - 1]!;
      const waiting = done.has(top) ? [] : [...inputsOf(top)].filter((i) => !done.has(i));
      if (waiting.length) {
        stack.push(...waiting.sort((a, b) => lastId(b) - lastId(a)));
        continue;
      }
      stack.pop();
      if (!done.has(top)) done.add(top), out.push(top);
    }
  };
  keyed.forEach(place);
  return out;
}
