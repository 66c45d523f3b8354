/**
 * Optimizers as pairs of functions over trees: `init` makes the state that belongs to parameters, and `update` turns gradients into
 * what is added to the parameters, with the next state. Both are pure, so a whole step is one compiled function whose
 * parameters and state stay in place on the GPU:
 *
 * ```ts ignore
 * const optimizer = chain(clipByGlobalNorm(1), adamw(warmup(100, cosineSchedule(1e-3, 1e-5, 900))));
 * const step = compile((params: Params, state: Tree, x: Tensor) => {
 *   const [value, gradients] = valueAndGrad(loss)(params, x);
 *   const [updates, next] = optimizer.update(gradients, state, params);
 *   return { params: applyUpdates(params, updates), state: next, value };
 * }, { donate: [0, 1] });
 * let state = { params, state: optimizer.init(params) };
 * for (const x of data) state = await step(state.params, state.state, x);
 * ```
 *
 * @module
 */
import { add } from "../ops/elementwise.ts";
import { zerosLike } from "../ops/creation.ts";
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { entries, filterTree, mapTree, mapTrees, replaceLeaves, type Tree } from "../program/tree.ts";

/** An optimizer, or a part of one. */
export interface Transformation {
  /** The state at the start, for parameters of this structure. */
  init(params: Tree): Tree;
  /**
   * The updates, made of gradients or of the updates of the part before, and the next state.
   *
   * @throws {TypeError} If gradients, state and parameters differ in structure: the message names the path.
   */
  update<T extends Tree>(gradients: T, state: Tree, params: T): [updates: T, state: Tree];
}

/** A choice of parameters by dotted path and shape. */
export type Mask = (path: string, shape: readonly number[]) => boolean;

/** The parameters after a step: each with its update added. */
export function applyUpdates<T extends Tree>(params: T, updates: Tree): T {
  return mapTrees([params, updates], ([p, u]) => add(p!, u!));
}

/** One transformation after the other: the updates of each are what the next one gets. The state is the list of their states. */
export function chain(...parts: readonly Transformation[]): Transformation {
  return {
    init: (params) => parts.map((part) => part.init(params)),
    update(gradients, state, params) {
      let updates = gradients;
      const next = parts.map((part, i) => {
        const [changed, own] = part.update(updates, (state as readonly Tree[])[i]!, params);
        updates = changed;
        return own;
      });
      return [updates, next];
    },
  };
}

/** A transformation without a state, leaf by leaf. */
export function stateless(update: (gradient: Tensor, param: Tensor, path: string) => Tensor): Transformation {
  return {
    init: () => [],
    update: (gradients, _, params) => [
      mapTrees([gradients, params], ([g, p], path) => update(g!, p!, path)),
      [],
    ],
  };
}

/** No updates: the parameters stay as they are. Gradients that nobody needs are not computed. */
export function freeze(): Transformation {
  return stateless((g) => zerosLike(g));
}

/**
 * A transformation for each group of parameters: another rate for some, {@linkcode freeze} for others.
 *
 * ```ts ignore
 * byGroup({ backbone: adamw(1e-5), head: adamw(1e-3), fixed: freeze() }, (path) => path.split(".")[0]!);
 * ```
 *
 * The state is a record of the groups' states, in which parameters are listed by their paths.
 *
 * @param groupOf The name of a parameter's group, from its dotted path and its shape.
 * @throws {RangeError} From `init` and `update`, if `groupOf` gives a name that is no group's.
 */
export function byGroup(
  groups: Readonly<Record<string, Transformation>>,
  groupOf: (path: string, shape: readonly number[]) => string,
): Transformation {
  const names = Object.keys(groups);
  const part = (tree: Tree, name: string): Record<string, Tensor> =>
    filterTree(tree, (path, leaf) => {
      const group = groupOf(path, leaf.shape);
      if (names.includes(group)) return group === name;
      throw new RangeError(`Cannot put "${path}" in the group "${group}": it must be one of ${names.join(", ")}`);
    });
  return {
    init: (params) => Object.fromEntries(names.map((name) => [name, groups[name]!.init(part(params, name))])),
    update(gradients, state, params) {
      const results = names.map((name) => {
        const own = (state as Readonly<Record<string, Tree>>)[name]!;
        return groups[name]!.update(part(gradients, name), own, part(params, name));
      });
      const updates = Object.fromEntries(results.flatMap(([updates]) => entries(updates)));
      return [
        replaceLeaves(gradients, updates),
        Object.fromEntries(names.map((name, i) => [name, results[i]![1]])),
      ];
    },
  };
}

/** Zeros of the shapes of the parameters, on the host: what moments begin with. */
export function zeros(params: Tree): Tree {
  return mapTree(params, ({ shape, size }) => tensor(new Float32Array(size), shape, "f32", { copy: false }));
}

/** A count of steps at its start, an i32 scalar. */
export function noSteps(): Tensor {
  return tensor(Int32Array.of(0), []);
}
