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
