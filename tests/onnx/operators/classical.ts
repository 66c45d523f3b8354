/** Of classical machine learning: counts of n-grams, ensembles of trees. */
import * as ops from "../../../mod.ts";
import type { Call, Operator, Operators } from "../call.ts";
import { NotExpressible } from "../types.ts";
import { Value } from "../value.ts";
import { indices, placesOf } from "./shared.ts";

type Tensor = ops.Tensor;

/** Grams of one length with the number of each in the order of the pool. */
interface Grams {
  readonly length: number;
  readonly words: readonly number[];
  readonly first: number;
}

/** The pool by the lengths of its grams. */
function gramsOf(call: Call): Grams[] {
  const pool = call.ints("pool_int64s"),
    starts = call.ints("ngram_counts")!,
    [least, most] = [call.int("min_gram_length", 1), call.int("max_gram_length", 1)];
  if (!pool?.length) throw new NotExpressible("strings");
  let first = 0;
  return starts.flatMap((start, i) => {
    const length = i + 1, words = pool.slice(start, starts[i + 1] ?? pool.length), own = first;
    first += words.length / length;
    return words.length && length >= least && length <= most ? [{ length, words, first: own }] : [];
  });
}

/** How often each gram stands in each row, with up to `skips` words between its words: [rows, grams]. */
function countsOf(x: Tensor, { length, words }: Grams, skips: number): Tensor {
  const [rows, columns] = x.shape as [number, number],
    grams = ops.tensor(Int32Array.from(words), [1, 1, words.length / length, length]);
  let counts: Tensor = ops.zeros([rows, words.length / length]);
  for (let skip = 0; skip <= (length === 1 ? 0 : skips); skip++) {
    const starts = columns - (length - 1) * (skip + 1);
    if (starts < 1) break;
    const at = placesOf([starts, length]).map(([start, word]) => start! + word! * (skip + 1));
    const windows = ops.reshape(ops.take(x, indices(at), 1), [rows, starts, 1, length]);
    counts = ops.add(counts, ops.sum(ops.all(ops.equal(windows, grams), { axes: [3] }), { axes: [1] }));
  }
  return counts;
}

/** Counts of grams (TF), the weights of those that are there (IDF), or both multiplied. */
const tfIdf: Operator = (call) => {
  const x = call.value(0),
    columns = call.ints("ngram_indexes")!,
    weights = call.floats("weights"),
    mode = call.string("mode", "TF");
  const rows = ops.cast(ops.reshape(x.tensor, [x.shape.length === 1 ? 1 : x.shape[0]!, x.shape.at(-1)!]), "i32");
  const width = Math.max(...columns) + 1, total = columns.length, parts = gramsOf(call);
  // What column of the counts of all grams goes to each column of the result: the last, of zeros, where none does.
  const counts = parts.map((g) => countsOf(rows, g, call.int("max_skip_count", 0)));
  const order = parts.flatMap((g) => Array.from({ length: g.words.length / g.length }, (_, i) => g.first + i));
  const all = ops.concat([...counts, ops.zeros([rows.shape[0]!, 1])], 1), none = order.length;
  const from = Array.from({ length: width }, (_, c) => {
    const at = order.findIndex((gram) => columns[gram] === c);
    return at < 0 ? none : at;
  });
  const own = ops.take(all, indices(from), 1), there = ops.greater(own, 0);
  const weight = ops.tensor(
    Float32Array.from({ length: width }, (_, c) => weights?.length === total ? weights[columns.indexOf(c)] ?? 1 : 1),
  );
  const y = mode === "TF" ? own : ops.multiply(mode === "IDF" ? there : own, weight);
  return Value.from("float", ops.reshape(y, [...x.shape.slice(0, -1), width]));
};

/** The tests of a node by its mode; 6 is membership in a list. */
const TESTS = [ops.lessEqual, ops.less, ops.greaterEqual, ops.greater, ops.equal, ops.notEqual] as const;

/** Attributes of an ensemble, all by node or by leaf. */
interface Trees {
  readonly features: readonly number[];
  readonly splits: readonly number[];
  readonly modes: readonly number[];
  /** Sets of the nodes of mode 6, in their order. */
  readonly members: readonly (readonly number[])[];
  readonly ways: readonly { readonly ids: readonly number[]; readonly leaves: readonly number[] }[];
  readonly missing: readonly number[] | undefined;
  readonly targets: readonly number[];
  readonly weights: readonly number[];
  readonly width: number;
}

/** What the node, or leaf, gives to the targets of each row: [rows, targets]. */
function treeValue(x: Tensor, t: Trees, id: number, leaf: boolean): Tensor {
  if (leaf) {
    return ops.tensor(Float32Array.from({ length: t.width }, (_, i) => i === t.targets[id] ? t.weights[id]! : 0), [
      1,
      t.width,
    ]);
  }
  const feature = ops.slice(x, 1, t.features[id]!, t.features[id]! + 1), mode = t.modes[id]!;
  const members = t.members[t.modes.slice(0, id).filter((m) => m === 6).length];
  let test = mode === 6
    ? members!.map((m) => ops.equal(feature, m)).reduce(ops.logicalOr)
    : TESTS[mode]!(feature, t.splits[id]!);
  test = ops.where(ops.isNaN(feature), Number(t.missing?.[id] ?? mode === 5), test);
  const [yes, no] = t.ways.map((way) => treeValue(x, t, way.ids[id]!, way.leaves[id] === 1));
  return ops.where(test, yes!, no!);
}

/** Lists that are separated by NaN. */
function listsOf(numbers: readonly number[]): number[][] {
  const lists: number[][] = [[]];
  for (const x of numbers) Number.isNaN(x) ? lists.push([]) : lists.at(-1)!.push(x);
  return lists;
}

/** Sums, means, least or largest of what the trees give. */
const treeEnsemble: Operator = async (call) => {
  const numbers = async (name: string): Promise<number[]> => Array.from(await call.tensor(name)?.numbers() ?? []);
  const trees: Trees = {
    features: call.ints("nodes_featureids")!,
    splits: await numbers("nodes_splits"),
    modes: await numbers("nodes_modes"),
    members: listsOf(await numbers("membership_values")),
    ways: ["true", "false"].map((w) => ({
      ids: call.ints(`nodes_${w}nodeids`)!,
      leaves: call.ints(`nodes_${w}leafs`)!,
    })),
    missing: call.ints("nodes_missing_value_tracks_true"),
    targets: call.ints("leaf_targetids")!,
    weights: await numbers("leaf_weights"),
    width: call.int("n_targets", 1),
  };
  if (call.int("post_transform", 0)) throw new NotExpressible("functions behind an ensemble of trees");
  const roots = call.ints("tree_roots")!, x = call.x(0), values = roots.map((root) => treeValue(x, trees, root, false));
  const join = [ops.add, ops.add, ops.minimum, ops.maximum][call.int("aggregate_function", 1)]!;
  const y = ops.broadcastTo(values.reduce((a, b) => join(a, b)), [x.shape[0]!, trees.width]);
  return Value.from(call.type, call.int("aggregate_function", 1) === 0 ? ops.divide(y, roots.length) : y);
};

/** The table. */
export const classical: Operators = {
  TfIdfVectorizer: tfIdf,
  "ai.onnx.ml.TreeEnsemble": treeEnsemble,
  "ai.onnx.ml.Binarizer": (call) => Value.from(call.type, ops.greater(call.x(0), call.float("threshold", 0))),
};
