/**
 * Loops in programs: a body that is traced, planned and compiled once and runs for every element of a sequence.
 *
 * @module
 */
import { moveAxis } from "../ops/axes.ts";
import { zerosLike } from "../ops/creation.ts";
import { add } from "../ops/elementwise.ts";
import { identity } from "../ops/shape.ts";
import { isLeaf, valueKey } from "../program/fuse.ts";
import { applyAll, type Aval, type Batch, type Node, type Op, sameShape, Tensor } from "../program/graph.ts";
import { placeholder } from "../program/program.ts";
import { dependents, replay } from "../program/replay.ts";
import { entries, fromLeaves, leaves, mapTree, type Tree } from "../program/tree.ts";
import { checkOptions } from "../program/options.ts";
import { backpropagate } from "./backpropagate.ts";
import { Batching } from "./_batching.ts";
import { type Body, lowerLoop } from "./_loop_lowering.ts";

/** A turn of the loop as it was traced: placeholders, and results that may depend on anything else besides. */
type Turn = Omit<Body, "constants">;

interface Attrs {
  readonly length: number;
  readonly reverse: boolean;
  readonly turn: Turn;
  /** What the turn reads besides, computed before the loop. */
  readonly constants: readonly Tensor[];
  /** The turn with placeholders for these. */
  readonly body: Body;
}

/** See {@linkcode lowerLoop}. */
const scanOp: Op<Attrs> = {
  name: "scan",
  infer(_, { length, body: { carries, ys } }): Aval[] {
    const stacked = ({ shape, dtype }: Aval): Aval => ({ shape: [length, ...shape], dtype });
    return [...carries.map(({ shape, dtype }) => ({ shape, dtype })), ...ys.map(stacked), ...carries.map(stacked)];
  },
  optional: ({ attrs: { body } }, result) => result >= body.carries.length + body.ys.length,
  lower: (ctx, { attrs: { body, length, reverse } }) => lowerLoop(ctx, body, length, reverse),
  vjp: (node, cotangents) => loopBackwards(node, cotangents),
  batch: (inputs, attrs, batch) => batchedLoop(inputs, attrs, batch),
};

/**
 * The cotangents of a loop's inputs by another loop, from the last turn to the first: its carries are the cotangents of the carries and, summed
 * up, those of the constants; its elements the carries before each turn, the elements, and the cotangents of the results.
 */
function loopBackwards(node: Node<Attrs>, cotangents: readonly (Tensor | null)[]): (Tensor | null)[] {
  const { turn: { carries, xs, next, ys }, constants, length, reverse } = node.attrs;
  const [ofLast, ofYs, ofSaved] = parts(cotangents, carries.length, ys.length);
  const saved = carries.map((_, k) => new Tensor(node as Node, carries.length + ys.length + k));
  const ctCarries = carries.map(placeholder);
  const [ctYs, ctSaved] = [
    ys.map((t, k) => ofYs[k] ? placeholder(t) : null),
    carries.map((t, k) => ofSaved[k] ? placeholder(t) : null),
  ];
  const [dCarries, dXs, dConstants] = parts(
    backpropagate([...next, ...ys], [...ctCarries.map((t) => isFloat(t) ? t : null), ...ctYs], [
      ...carries,
      ...xs,
      ...constants,
    ]),
    carries.length,
    xs.length,
  );
  const [ofConstants, ofXs] = [reached(dConstants), reached(dXs)],
    sums = ofConstants.map((k) => placeholder(constants[k]!));
  const before = carries.map((t, k) => {
    const own = dCarries[k] ?? zerosLike(t), direct = ctSaved[k];
    return direct ? add(own, direct) : own;
  });
  const elements = node.inputs.slice(carries.length, carries.length + xs.length);
  const results = loop({
    carries: [...ctCarries, ...sums],
    xs: [...carries, ...xs, ...present(ctYs), ...present(ctSaved)],
    next: [...before, ...ofConstants.map((k, i) => add(sums[i]!, dConstants[k]!))],
    ys: ofXs.map((k) => dXs[k]!),
  }, {
    init: [...carries.map((t, k) => ofLast[k] ?? zerosLike(t)), ...ofConstants.map((k) => zerosLike(constants[k]!))],
    xs: [...saved, ...elements, ...present(ofYs), ...present(ofSaved)],
    length,
    reverse: !reverse,
  });
  const given: (Tensor | null)[] = node.inputs.map(() => null),
    [firsts, totals, rows] = parts(results, carries.length, sums.length);
  carries.forEach((t, k) => given[k] = isFloat(t) ? firsts[k]! : null);
  ofXs.forEach((k, i) => given[carries.length + k] = rows[i]!);
  ofConstants.forEach((k, i) => given[carries.length + xs.length + k] = totals[i]!);
  return given;
}

/** The loop of a whole batch: the axis of the batch is the first of the carries, and the second of what is stacked. */
function batchedLoop(inputs: readonly Tensor[], attrs: Attrs, { size, batched, whole }: Batch<Attrs>): Tensor[] {
  const { turn, constants, length, reverse } = attrs, batching = new Batching(size);
  const wide = (t: Tensor): Tensor => {
    const own = placeholder({ shape: [size, ...t.shape], dtype: t.dtype });
    batching.set(t, own);
    return own;
  };
  const carries = turn.carries.map(wide), [, ofXs, ofConstants] = parts(batched, carries.length, turn.xs.length);
  const xs = turn.xs.map((t, k) => ofXs[k] ? wide(t) : t);
  constants.forEach((t, k) => ofConstants[k] && batching.set(t, inputs[carries.length + xs.length + k]!));
  const results = (list: readonly Tensor[]): Tensor[] =>
    batching.of(list).map((t, k) => t ?? batching.repeated(list[k]!));
  const all = loop({ carries, xs, next: results(turn.next), ys: results(turn.ys) }, {
    init: whole().slice(0, carries.length),
    xs: xs.map((_, k) => ofXs[k] ? moveAxis(inputs[carries.length + k]!, 0, 1) : inputs[carries.length + k]!),
    length,
    reverse,
  });
  return all.map((t, k) => k < carries.length ? t : moveAxis(t, 1, 0));
}

/** A list cut in three. */
function parts<T>(list: readonly T[], first: number, second: number): [T[], T[], T[]] {
  return [list.slice(0, first), list.slice(first, first + second), list.slice(first + second)];
}

const present = (list: readonly (Tensor | null)[]): Tensor[] => list.flatMap((t) => t ?? []);
/** Numbers of the tensors that are there. */
const reached = (list: readonly (Tensor | null)[]): number[] => list.flatMap((t, k) => t ? [k] : []);
const isFloat = ({ dtype }: Aval): boolean => dtype === "f32";

/** Applies the op to a turn that was traced. */
function loop(
  turn: Turn,
  { init, xs, length, reverse }: { init: readonly Tensor[]; xs: readonly Tensor[]; length: number; reverse: boolean },
): Tensor[] {
  const sources = [...turn.carries, ...turn.xs];
  // Results are nodes of the turn, whatever they are: constants and carries that are handed on, too.
  const next = turn.next.map(identity), ys = turn.ys.map(identity), outputs = [...next, ...ys];
  const nodes = dependents(outputs, sources), inside = new Set<Node>([...nodes, ...sources.map((t) => t.node)]);
  const own = new Set<Node>([...nodes, ...outputs.map((t) => t.node)]), constants = new Map<number, Tensor>();
  for (const t of [...own].flatMap((node) => node.inputs)) {
    if (!inside.has(t.node) && (isLeaf(t) || !t.node.inline || t.node.inputs.length)) constants.set(valueKey(t), t);
  }
  const list = [...constants.values()], inner = list.map(placeholder);
  const replaced = new Map(list.map((t, k) => [valueKey(t), inner[k]!]));
  const again = replay(outputs, [...own].sort((a, b) => a.id - b.id), replaced);
  const body = {
    carries: turn.carries,
    xs: turn.xs,
    constants: inner,
    next: again.slice(0, next.length),
    ys: again.slice(next.length),
  };
  const attrs = { length, reverse, turn: { ...turn, next, ys }, constants: list, body };
  return applyAll(scanOp, [...init, ...xs, ...list], attrs);
}

/** Options of {@linkcode scan}. */
export interface ScanLoopOptions {
  /** From the last element to the first. Default false. */
  readonly reverse?: boolean;
  /** The number of turns where there are no `xs`. */
  readonly length?: number;
}

/**
 * A loop (JAX's `lax.scan`): `fn(carry, x)` gives `[next carry, y]` for each element of `xs` along their first axis, in order; the result is
 * the last carry and all y, stacked. `fn` is traced once and its kernels are compiled once, however many elements there are; they are
 * dispatched for each, so that a program grows by one dispatch for each kernel and element, and not by code.
 *
 * What `fn` closes over is computed before the loop; random numbers of one key are the same for every element, so draw them outside, as
 * a part of `xs`. The gradient is a loop from the last element to the first; it keeps the carries before
 * every element, and computes the rest of a turn again.
 *
 * @param init A tree of f32, i32 or u32; the next carry must be like it.
 * @param xs A tree of such with a first axis of one length.
 * @throws {RangeError} if the next carry has another shape or type, or the lengths differ.
 */
export function scan<C extends Tree, X extends Tree, Y extends Tree>(
  fn: (carry: C, x: X) => readonly [C, Y],
  init: C,
  xs: X,
  options: ScanLoopOptions = {},
): [C, Y] {
  const { reverse = false, length: given } = checkOptions("scan", options, { length: "one", reverse: "one" });
  const length = lengthOf(xs, given);
  const carries = mapTree(init, placeholder),
    row = mapTree(xs, ({ shape, dtype }) => placeholder({ shape: shape.slice(1), dtype }));
  const [next, y] = fn(carries, row);
  checkCarry("scan", entries(init), entries(next));
  const all = [...leaves(init), ...leaves(xs), ...leaves(y)], half = all.find((t) => t.dtype === "f16");
  if (half) throw new TypeError(`Cannot apply scan: carries, xs and results must be f32, i32 or u32: one is ${half}`);
  const turn = { carries: leaves(carries), xs: leaves(row), next: leaves(next), ys: leaves(y) };
  const [lasts, ys] = parts(
    loop(turn, { init: leaves(init), xs: leaves(xs), length, reverse }),
    turn.carries.length,
    turn.ys.length,
  );
  return [fromLeaves(init, lasts), fromLeaves(y, ys)];
}

function lengthOf(xs: Tree, given: number | undefined): number {
  const lengths = new Set(leaves(xs).map((t) => t.shape[0] ?? 0).concat(given ?? []));
  const [length = 0] = lengths;
  if (lengths.size === 1 && Number.isInteger(length) && length > 0) return length;
  throw new RangeError(
    `Cannot apply scan: xs must have one length along their first axis, from 1 on: they are [${
      leaves(xs).join("; ")
    }]` +
      (given === undefined ? "" : `, and length is ${given}`),
  );
}

/** Throws unless the next carry has the structure, the shapes and the types of the first. */
export function checkCarry(
  name: string,
  before: readonly [string, Tensor][],
  after: readonly [string, Tensor][],
): void {
  const text = (list: readonly [string, Tensor][]): string =>
    list.map(([path, t]) => (path ? `${path}: ${t}` : `${t}`)).join("; ");
  const same = before.length === after.length &&
    before.every(([path, t], i) =>
      path === after[i]![0] && t.dtype === after[i]![1].dtype && sameShape(t.shape, after[i]![1].shape)
    );
  if (!same) {
    throw new RangeError(
      `Cannot apply ${name}: the next carry must be like the first, ${text(before)}: it is ${text(after)}`,
    );
  }
}
