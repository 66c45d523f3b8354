/**
 * Trees of tensors: what compiled functions take and return, and what parameters are.
 *
 * @module
 */
import { type Aval, Tensor } from "./graph.ts";

/** Tensors in nested records and lists. Declare your own with `type`: TypeScript takes no `interface` for a record of anything. */
export type Tree = Tensor | readonly Tree[] | { readonly [name: string]: Tree };

/** Shapes and types in nested records and lists: those of any {@linkcode Tree}. */
export type AvalTree = Aval | readonly AvalTree[] | { readonly [name: string]: AvalTree };

/** Shapes and types of a tree T, without values: the same names with an {@linkcode Aval} for each tensor. */
export type Avals<T> = Tree extends T ? AvalTree : T extends Tensor ? Aval : { readonly [K in keyof T]: Avals<T[K]> };

/** The tensors of a tree, in the order of their names as written. */
export function leaves(tree: Tree): Tensor[] {
  return entries(tree).map(([, leaf]) => leaf);
}

/** The tensors of a tree with their dotted paths ("blocks.0.norm1.weight"). */
export function entries(tree: Tree, path = ""): [string, Tensor][] {
  if (tree instanceof Tensor) return [[path, tree]];
  checkBranch(tree, path);
  return Object.entries(tree).flatMap(([name, child]) => entries(child as Tree, path ? `${path}.${name}` : name));
}

/** The dotted paths of the tensors of a tree, in the order of {@linkcode leaves}: names of records, positions in lists ("a.b.0"). */
export function paths(tree: Tree): string[] {
  return entries(tree).map(([path]) => path);
}

/** Throws unless something is a record or a list. */
function checkBranch(tree: unknown, path: string): void {
  if (tree !== null && typeof tree === "object") return;
  throw new TypeError(
    `Cannot use a ${typeof tree} at "${path}" as a tensor: wrap numbers in tensor() or close over them`,
  );
}

/** A tree of the same structure with each tensor replaced. */
export function mapTree<T extends Tree>(tree: T, replace: (leaf: Tensor, path: string) => Tensor, path = ""): T {
  if (tree instanceof Tensor) return replace(tree, path) as unknown as T;
  const child = (name: string, value: Tree): Tree => mapTree(value, replace, path ? `${path}.${name}` : name);
  checkBranch(tree, path);
  if (Array.isArray(tree)) return tree.map((value, i) => child(String(i), value)) as unknown as T;
  return Object.fromEntries(
    Object.entries(tree).map(([name, value]) => [name, child(name, value as Tree)]),
  ) as unknown as T;
}

/** A tree of the same structure as `like` from its leaves in order. */
export function fromLeaves<T extends Tree>(like: T, values: readonly Tensor[]): T {
  let at = 0;
  return mapTree(like, () => values[at++]!);
}

/**
 * A tree of the structure of the first one, each tensor made of those at the same path in all of them. Names may come in
 * another order; shapes are up to `combine`.
 *
 * @example
 * ```ts ignore
 * const moved = mapTrees([params, gradients], ([p, g]) => subtract(p!, multiply(g!, 1e-2)));
 * ```
 *
 * @throws {TypeError} If the trees differ in structure: the message names the path.
 */
export function mapTrees<T extends Tree>(
  trees: readonly [T, ...Tree[]],
  combine: (leaves: readonly Tensor[], path: string) => Tensor,
): T {
  const [first, ...others] = trees;
  const found = others.map((other, i) => {
    const problem = difference(first, other, "");
    if (problem) {
      throw new TypeError(`Cannot map trees together: tree ${i + 1} must have the structure of tree 0: ${problem}`);
    }
    return new Map(entries(other));
  });
  return mapTree(first, (leaf, path) => combine([leaf, ...found.map((leaves) => leaves.get(path)!)], path));
}

/** Where two trees differ in structure, in words; undefined where they do not. */
function difference(a: Tree, b: Tree, path: string): string | undefined {
  const kinds = [kind(a), kind(b)], at = path ? `"${path}"` : "the whole";
  if (kinds[0] !== kinds[1]) return `${at} is ${kinds[1]} instead of ${kinds[0]}`;
  if (a instanceof Tensor) return undefined;
  const names = Object.keys(a), below = (name: string): string => path ? `${path}.${name}` : name;
  const missing = names.find((name) => !Object.hasOwn(b, name));
  if (missing !== undefined) return `there is no "${below(missing)}"`;
  const extra = Object.keys(b).find((name) => !Object.hasOwn(a, name));
  if (extra !== undefined) return `there is a "${below(extra)}" too many`;
  type Named = Record<string, Tree>;
  for (const name of names) {
    const inside = difference((a as Named)[name]!, (b as Named)[name]!, below(name));
    if (inside) return inside;
  }
  return undefined;
}

function kind(tree: Tree): string {
  if (tree instanceof Tensor) return "a tensor";
  return Array.isArray(tree) ? "a list" : tree !== null && typeof tree === "object" ? "a record" : `a ${typeof tree}`;
}

/** Combines the tensors of a tree in their order, beginning with `start`. */
export function reduceTree<R>(tree: Tree, start: R, combine: (result: R, leaf: Tensor, path: string) => R): R {
  return entries(tree).reduce((result, [path, leaf]) => combine(result, leaf, path), start);
}

/** The tensors of a tree for which `keep` holds, by their paths: a flat record, which is a tree as well. */
export function filterTree(tree: Tree, keep: (path: string, leaf: Tensor) => boolean): Record<string, Tensor> {
  return Object.fromEntries(entries(tree).filter(([path, leaf]) => keep(path, leaf)));
}

/**
 * The tensors for which `test` holds and the others, each by their paths. {@linkcode replaceLeaves} puts them back, as for a
 * gradient of a part:
 *
 * @example
 * ```ts ignore
 * const [trained, frozen] = partitionTree(params, (path) => path.startsWith("head."));
 * const gradients = grad((trained: Record<string, Tensor>) => loss(replaceLeaves(params, trained)))(trained);
 * ```
 */
export function partitionTree(
  tree: Tree,
  test: (path: string, leaf: Tensor) => boolean,
): [Record<string, Tensor>, Record<string, Tensor>] {
  return [filterTree(tree, test), filterTree(tree, (path, leaf) => !test(path, leaf))];
}

/**
 * The tree with other tensors at the given paths.
 *
 * @throws {RangeError} If the tree has no tensor at one of the paths.
 */
export function replaceLeaves<T extends Tree>(tree: T, changes: Readonly<Record<string, Tensor>>): T {
  const left = new Map(Object.entries(changes));
  const result = mapTree(tree, (leaf, path) => {
    const change = left.get(path);
    left.delete(path);
    return change ?? leaf;
  });
  const [unknown] = left.keys();
  if (unknown !== undefined) {
    throw new RangeError(`Cannot replace "${unknown}": the tree must have a tensor at that path: it has none`);
  }
  return result;
}

/** Paths, shapes and types as text for people. */
export function signature(tree: Tree): string {
  return entries(tree).map(([path, leaf]) => `${path}:${leaf}`).join(";");
}

/** Structure, shapes and types as text: equal for two trees exactly if a program of one fits the other. */
export function programKey(tree: Tree, path = ""): string {
  if (tree instanceof Tensor) return String(tree);
  if (tree === null || typeof tree !== "object") return String(entries(tree, path)); // throws: it is no tensor
  const list = Array.isArray(tree);
  const inner = Object.entries(tree).map(([name, child]) =>
    (list ? "" : `${JSON.stringify(name)}:`) + programKey(child as Tree, path ? `${path}.${name}` : name)
  );
  return list ? `[${inner}]` : `{${inner}}`;
}
