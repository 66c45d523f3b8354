/**
 * Parameters before they have values: their shapes and how they start. Names are those of the official state dictionaries.
 *
 * @module
 */
import { Random } from "../random/random.ts";
import { sizeOf, type Tensor } from "../program/graph.ts";
import { tensor } from "../program/compile.ts";
import { type Init, type Initializer, orthonormalRows } from "./init.ts";

/** One parameter to be. */
export class Spec {
  /** How it starts. */
  readonly init: Init;

  /** A parameter of this shape with these starting values, or with those that an initialiser has for the shape. */
  constructor(readonly shape: readonly number[], init: Init | Initializer) {
    this.init = typeof init === "function" ? init(shape) : init;
  }
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
  if ("orthogonal" in init) return orthogonalValues(shape, init.orthogonal, () => random.normal());
  if ("uniform" in init) return out.map(() => (2 * random.uniform() - 1) * init.uniform);
  return out.map(() => init.normal * (init.truncated ? random.truncatedNormal() : random.normal()));
}

function orthogonalValues(shape: readonly number[], gain: number, draw: () => number): Float32Array {
  if (shape.length < 2) {
    throw new RangeError(`Cannot start an orthogonal parameter: it must have at least 2 axes: its shape is [${shape}]`);
  }
  const size = sizeOf(shape), rows = shape[0]!, columns = size / rows, wide = rows <= columns;
  const matrix = Float64Array.from({ length: size }, draw);
  orthonormalRows(matrix, Math.min(rows, columns), Math.max(rows, columns));
  return Float32Array.from(matrix, (_, i) => gain * matrix[wide ? i : i % columns * rows + Math.floor(i / columns)]!);
}
