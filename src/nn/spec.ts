/**
 * Parameters before they have values: their shapes and how they start. Names are those of the official state dictionaries.
 *
 * @module
 */
import { Random } from "../random/random.ts";
import { sizeOf, type Tensor } from "../program/graph.ts";
import { tensor } from "../program/compile.ts";

/** How a parameter starts: a constant, a normal of that deviation (cut at 2 deviations if truncated), or uniform in [-bound, bound]. */
export type Init =
  | { readonly constant: number }
  | { readonly normal: number; readonly truncated?: boolean }
  | { readonly uniform: number };

/** One parameter to be. */
export class Spec {
  /** A parameter of this shape with these starting values. */
  constructor(readonly shape: readonly number[], readonly init: Init) {}
}

/** Parameters to be, in nested records and lists. */
export type SpecTree = Spec | readonly SpecTree[] | { readonly [name: string]: SpecTree };

/** The tree of tensors that belongs to a tree of specs. */
export type ParametersOf<S> = S extends Spec ? Tensor
  : S extends readonly (infer E)[] ? ParametersOf<E>[]
  : { [K in keyof S]: ParametersOf<S[K]> };

/** Specs with their dotted names. */
export function specEntries(tree: SpecTree, path = ""): [string, Spec][] {
  if (tree instanceof Spec) return [[path, tree]];
  return Object.entries(tree).flatMap(([name, child]) =>
    specEntries(child as SpecTree, path ? `${path}.${name}` : name)
  );
}

/** Number of parameters, from shapes alone. */
export function countParameters(tree: SpecTree): number {
  return specEntries(tree).reduce((n, [, spec]) => n + sizeOf(spec.shape), 0);
}

/** Builds a tree of tensors, one for each spec. */
export function mapSpecs<S extends SpecTree>(
  tree: S,
  make: (spec: Spec, path: string) => Tensor,
  path = "",
): ParametersOf<S> {
  if (tree instanceof Spec) return make(tree, path) as ParametersOf<S>;
  const child = (name: string, value: SpecTree) => mapSpecs(value, make, path ? `${path}.${name}` : name);
  if (Array.isArray(tree)) return tree.map((value, i) => child(String(i), value)) as ParametersOf<S>;
  return Object.fromEntries(
    Object.entries(tree).map(([name, value]) => [name, child(name, value as SpecTree)]),
  ) as ParametersOf<S>;
}

/** Values for all parameters, on the host; a function of the seed and of each parameter's position in the tree. */
export function initialize<S extends SpecTree>(tree: S, seed: number): ParametersOf<S> {
  let stream = 0;
  return mapSpecs(tree, (spec) => tensor(initialValues(spec, seed, stream++), spec.shape, "f32", { copy: false }));
}

/** Starting values of one parameter. */
export function initialValues({ shape, init }: Spec, seed: number, stream: number): Float32Array {
  const out = new Float32Array(sizeOf(shape));
  if ("constant" in init) return out.fill(init.constant);
  const random = new Random(seed).fork(0x1417, stream);
  if ("uniform" in init) return out.map(() => (2 * random.uniform() - 1) * init.uniform);
  return out.map(() => init.normal * (init.truncated ? random.truncatedNormal() : random.normal()));
}
