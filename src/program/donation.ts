/**
 * Which results take over the memory of donated leaves, and which of them are computed right there.
 *
 * @module
 */
import { type Group, isLeaf, loads, nodesOf, resolve, valueKey } from "./fuse.ts";
import { type Node, Tensor } from "./graph.ts";

/** Donated leaves by what takes their memory. */
export interface Donations {
  /** By the numbers of results. */
  readonly results: ReadonlyMap<number, Tensor>;
  /** By the keys of values that are computed into it; the other results are copied there at the end. */
  readonly inPlace: ReadonlyMap<number, Tensor>;
}

/** Where a leaf is read. */
interface Read {
  /** Number of the group. */
  readonly group: number;
  readonly node: Node;
  /** Number among the tensors that the node loads. */
  readonly input: number;
  /** Whether all of it is read and not a part. */
  readonly whole: boolean;
}

/** Which result goes where a donated leaf was: a leaf handed through stays, the others take the first of equal size and type. */
export function matchDonations(
  groups: readonly Group[],
  outputs: readonly Tensor[],
  donated: readonly Tensor[],
): Donations {
  const results = new Map<number, Tensor>(), inPlace = new Map<number, Tensor>();
  const own = new Map(donated.map((t) => [valueKey(t), t]));
  const handedThrough = new Set(outputs.map((t) => valueKey(resolve(t).base)));
  const free = donated.filter((t) => !handedThrough.has(valueKey(t)));
  const position = new Map<Node, number>();
  groups.forEach((g, i) => nodesOf(g).forEach((n) => position.set(n, i)));
  const reads = readsOf(free, groups);
  for (const [i, t] of outputs.entries()) {
    const { base } = resolve(t), key = valueKey(base), whole = base.size === t.size;
    if (isLeaf(base)) {
      if (whole && own.delete(key)) results.set(i, base);
      continue;
    }
    const at = free.findIndex((d) => d.dtype === t.dtype && d.size === t.size);
    if (at < 0) continue;
    const leaf = free.splice(at, 1)[0]!;
    results.set(i, leaf);
    if (!whole || inPlace.has(key)) continue;
    if (canWriteInPlace(base, groups, position.get(base.node)!, reads.get(valueKey(leaf))!)) inPlace.set(key, leaf);
  }
  return { results, inPlace };
}

/** The reads of leaves by the keys of their values. One pass for all: there may be as many leaves as groups. */
function readsOf(leaves: readonly Tensor[], groups: readonly Group[]): ReadonlyMap<number, readonly Read[]> {
  const reads = new Map<number, Read[]>(leaves.map((t) => [valueKey(t), []]));
  groups.forEach((g, group) => {
    for (const node of nodesOf(g)) {
      loads(node).forEach((t, input) => {
        const { base, offset } = resolve(t);
        reads.get(valueKey(base))?.push({ group, node, input, whole: offset === 0 && t.size === base.size });
      });
    }
  });
  return reads;
}

/** Whether every kernel that reads a leaf has run when group `at` writes `base`, or reads each element before writing it. */
function canWriteInPlace(base: Tensor, groups: readonly Group[], at: number, reads: readonly Read[]): boolean {
  if (base.node.op.packs) return !reads.length; // its parts are written one by one, the first of them early
  const { root } = groups[at]!;
  return reads.every(({ group, node, input, whole }) => {
    if (group !== at) return group < at;
    if (node === root) {
      return node === base.node && !!node.op.inPlace?.some(([result, i]) => result === base.index && i === input);
    }
    return !root && whole && new Tensor(node).size === base.size;
  });
}
