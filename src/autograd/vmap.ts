/**
 * Functions of one example as functions of a batch.
 *
 * @module
 */
import { moveAxis } from "../ops/axes.ts";
import { Tensor } from "../program/graph.ts";
import { placeholder } from "../program/program.ts";
import { fromLeaves, leaves, mapTree, type Tree } from "../program/tree.ts";
import { checkOptions } from "../program/options.ts";
import { Batching } from "./_batching.ts";

/**
 * Where the axis of the batch is: its number, negative ones from the end, or null where there is none; or a record or list of these for
 * the parts of a tree.
 */
export type BatchAxes = number | null | readonly BatchAxes[] | { readonly [name: string]: BatchAxes };

/** Options of {@linkcode vmap}. */
export interface VmapOptions {
  /**
   * The axis of the batch of all arguments, or a list with that of each argument. An argument whose axis is null is passed to the function as
   * it is, and may be anything. Default 0.
   */
  readonly in?: BatchAxes;
  /** The axis of the batch in the results; null: a result is the same for the whole batch. Default 0. */
  readonly out?: BatchAxes;
}

/**
 * `fn`, a function of one example, for a whole batch of them (JAX's `vmap`): `fn` is traced once for one example, and each of its ops is
 * applied to the batch by the op's batching rule. With `grad` it gives gradients by example: `vmap(grad(loss), { in: [null, 0] })`.
 *
 * Most ops have a rule that takes the batch in one kernel. Without one the op runs for each element by itself, so that there are as many kernels
 * as elements: convolutions by other weights for each element and their weight's gradients, attention with dropout, random numbers of
 * another key for each, lookups of other ids in other tables with a padding id, `ringUpdate`.
 * Random numbers of one key are the same for all elements.
 *
 * @throws {RangeError} if the axes of the arguments are not equally long, there is none, or a result that `out` says to be the same for the
 * batch is not.
 */
export function vmap<A extends readonly unknown[], R extends Tree>(
  fn: (...args: A) => R,
  options: VmapOptions = {},
): (...args: A) => R {
  const { in: given = 0, out = 0 } = checkOptions("vmap", options, { in: "one", out: "one" });
  return (...args) => {
    const axes = args.map((_, i) =>
      Array.isArray(given) ? axisOf(given as readonly BatchAxes[], i) : given as BatchAxes
    );
    const sizes = new Map<string, number>();
    const inputs = args.map((arg, i) => axes[i] === null ? [] : batchedLeaves(arg as Tree, axes[i]!, `${i}`, sizes));
    const batching = new Batching(commonSize(sizes));
    const examples = args.map((arg, i) => {
      if (axes[i] === null) return arg;
      return fromLeaves(
        arg as Tree,
        inputs[i]!.map(({ tensor, batched }) => {
          if (!batched) return tensor;
          const example = placeholder({ shape: tensor.shape.slice(1), dtype: tensor.dtype });
          batching.set(example, tensor);
          return example;
        }),
      );
    });
    const result = fn(...examples as unknown as A), batched = batching.of(leaves(result));
    const places = leafAxes(result, out, "the result");
    return fromLeaves(result, leaves(result).map((t, i) => placed(t, batched[i], places[i]!, batching)));
  };
}

function axisOf(axes: readonly BatchAxes[], i: number): BatchAxes {
  const axis = axes[i];
  if (axis !== undefined) return axis;
  throw new RangeError(`Cannot batch: "in" must list an axis for every argument: argument ${i} has none`);
}

/** The leaves of an argument, those of the batch with its axis in front; their lengths along it are noted. */
function batchedLeaves(
  arg: Tree,
  axes: BatchAxes,
  path: string,
  sizes: Map<string, number>,
): { tensor: Tensor; batched: boolean }[] {
  const own = leafAxes(arg, axes, `argument ${path}`), tensors = leaves(arg);
  return tensors.map((t, i) => {
    const axis = own[i]!;
    if (axis.at === null) return { tensor: t, batched: false };
    const at = axis.at < 0 ? axis.at + t.shape.length : axis.at;
    if (!Number.isInteger(at) || at < 0 || at >= t.shape.length) {
      throw new RangeError(`Cannot batch: axis ${axis.at} must be one of ${axis.path}: that is ${t}`);
    }
    sizes.set(axis.path, t.shape[at]!);
    return { tensor: at === 0 ? t : moveAxis(t, at, 0), batched: true };
  });
}

function commonSize(sizes: ReadonlyMap<string, number>): number {
  const [first, ...others] = sizes;
  if (!first) throw new RangeError(`Cannot batch: at least one argument must have an axis of the batch: all are null`);
  const other = others.find(([, size]) => size !== first[1]);
  if (!other) return first[1];
  throw new RangeError(
    `Cannot batch: axes of the batch must be equally long: that of ${first[0]} is ${first[1]}, that of ${other[0]} is ${
      other[1]
    }`,
  );
}

/** The axis of each leaf of a tree, and where the leaf is. */
function leafAxes(tree: Tree, axes: BatchAxes, path: string): { at: number | null; path: string }[] {
  if (tree instanceof Tensor || typeof axes === "number" || axes === null) {
    if (axes !== null && typeof axes === "object") {
      throw new TypeError(`Cannot batch: the axis of ${path} must be a number or null: it is ${JSON.stringify(axes)}`);
    }
    const found: { at: number | null; path: string }[] = [];
    mapTree(tree, (leaf, name) => (found.push({ at: axes, path: name ? `${path}.${name}` : path }), leaf));
    return found;
  }
  return Object.entries(tree).flatMap(([name, child]) => {
    const own = (axes as { readonly [name: string]: BatchAxes })[name];
    if (own === undefined) {
      throw new RangeError(`Cannot batch: there must be an axis for ${path}.${name}: there is none`);
    }
    return leafAxes(child as Tree, own, `${path}.${name}`);
  });
}

/** A result with the axis of the batch where it shall be. */
function placed(
  example: Tensor,
  batched: Tensor | undefined,
  { at, path }: { at: number | null; path: string },
  batching: Batching,
): Tensor {
  if (at === null) {
    if (!batched) return example;
    throw new RangeError(`Cannot batch: ${path} must be the same for the whole batch where "out" is null: it is not`);
  }
  const whole = batched ?? batching.repeated(example), rank = whole.shape.length, axis = at < 0 ? at + rank : at;
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank) {
    throw new RangeError(`Cannot batch: the axis of ${path} must be from ${-rank} to ${rank - 1}: it is ${at}`);
  }
  return axis === 0 ? whole : moveAxis(whole, 0, axis);
}
