/** Operators on numbers of our own, by attributes that change what they do. */
import { assertEquals } from "@std/assert";
import { type Attribute, type Given, longs, outcomeOfOperator } from "./testing.ts";

type Attributes = Readonly<Record<string, Attribute>>;

async function passes(
  op: string,
  inputs: (Given | undefined)[],
  outputs: Given[],
  attributes: Attributes = {},
  opset = 23,
): Promise<void> {
  const { result, reason } = await outcomeOfOperator(op, inputs, outputs, attributes, opset);
  assertEquals(reason ?? result, "passed", `${op} ${JSON.stringify(attributes)}`);
}

const of = (shape: number[], data: number[], type?: Given["type"]): Given => ({
  shape,
  data,
  ...(type ? { type } : {}),
});
const vector = (...data: number[]): Given => of([data.length], data);
const scalar = (x: number, type?: Given["type"]): Given => of([], [x], type);
const ints = (...data: number[]): Given => of([data.length], data, "int32");

Deno.test("Slice, Pad, Split, Reshape, Expand, Trilu, DepthToSpace", async () => {
  const x = of([2, 3], [1, 2, 3, 4, 5, 6]);
  await passes("Slice", [x, longs(-1), longs(-(2 ** 63)), longs(1), longs(-2)], [of([2, 2], [3, 1, 6, 4])]);
  await passes("Slice", [x, longs(2), longs(2 ** 62), longs(0)], [of([0, 3], [])]);
  await passes(
    "Slice",
    [x],
    [of([2, 1], [2, 5])],
    { starts: { ints: [1] }, ends: { ints: [-1] }, axes: { ints: [1] } },
    9,
  );
  await passes("Pad", [x, longs(0, -1, 1, 2), scalar(9)], [of([3, 4], [2, 3, 9, 9, 5, 6, 9, 9, 9, 9, 9, 9])]);
  await passes("Pad", [x, longs(1, 2), undefined, longs(-1)], [of([2, 6], [2, 1, 2, 3, 2, 1, 5, 4, 5, 6, 5, 4])], {
    mode: { s: "reflect" },
  });
  await passes("Pad", [x, longs(3, 0, 0, 0)], [of([5, 3], [4, 5, 6, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6])], {
    mode: { s: "wrap" },
  });
  await passes("Split", [vector(1, 2, 3, 4, 5)], [vector(1, 2), vector(3, 4), vector(5)], { num_outputs: { i: 3 } });
  await passes("Split", [vector(1, 2, 3), longs(0, 3)], [vector(), vector(1, 2, 3)]);
  await passes("Reshape", [x, longs(0, -1, 1)], [of([2, 3, 1], x.data as number[])]);
  await passes("Expand", [of([2, 1], [1, 2]), longs(2, 1, 2)], [of([2, 2, 2], [1, 1, 2, 2, 1, 1, 2, 2])]);
  await passes("Trilu", [of([2, 2], [1, 2, 3, 4], "int64"), scalar(1, "int64")], [of([2, 2], [0, 2, 0, 0], "int64")]);
  const channels = of([1, 4, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7]);
  await passes("DepthToSpace", [channels], [of([1, 1, 2, 4], [0, 2, 1, 3, 4, 6, 5, 7])], { blocksize: { i: 2 } });
  await passes("CenterCropPad", [vector(1, 2, 3), longs(6)], [vector(0, 1, 2, 3, 0, 0)]);
  await passes("CenterCropPad", [vector(1, 2, 3, 4), longs(1)], [vector(2)]);
});

Deno.test("Cast, Clip, Mod, Pow, BitShift, IsInf: types, signs and defaults", async () => {
  await passes("Cast", [vector(-1.7, 300.5, 2)], [of([3], [255, 44, 2], "uint8")], { to: { i: 2 } });
  await passes("Cast", [vector(0, NaN, -0.5)], [of([3], [0, 1, 1], "bool")], { to: { i: 9 } });
  await passes("Cast", [vector(1e-8, 65519, 65520)], [of([3], [0, 65504, Infinity], "float16")], { to: { i: 10 } });
  await passes("Cast", [ints(-9, 7, 8)], [of([3], [7, 7, -8], "int4")], { to: { i: 22 } });
  await passes("Clip", [ints(-5, 0, 9), scalar(3, "int32"), scalar(1, "int32")], [ints(1, 1, 1)]);
  await passes("Clip", [vector(-5, 9), undefined, scalar(1)], [vector(-5, 1)]);
  await passes("Mod", [ints(-7, 7, -7), ints(3, -3, -3)], [ints(2, -2, -1)]);
  await passes("Mod", [vector(-7.5, 7.5), vector(2, -2)], [vector(-1.5, 1.5)], { fmod: { i: 1 } });
  await passes("Pow", [ints(-3, 2, 7), vector(3, -1, 2)], [ints(-27, 0, 49)]);
  await passes("BitShift", [of([2], [255, 1], "uint8"), of([2], [1, 7], "uint8")], [of([2], [254, 128], "uint8")], {
    direction: { s: "LEFT" },
  });
  await passes("IsInf", [vector(Infinity, -Infinity, NaN)], [of([3], [0, 1, 0], "bool")], {
    detect_positive: { i: 0 },
  });
  await passes("Less", [vector(NaN, 1, -0), vector(1, NaN, 0)], [of([3], [0, 0, 0], "bool")]);
  await passes("BitwiseNot", [of([2], [0, 200], "uint8")], [of([2], [255, 55], "uint8")]);
});

Deno.test("floats of 8 bits are rounded to even, and saturate or not", async () => {
  const x = vector(17, 19, -0.0009765625, 449, 1000, Infinity, NaN);
  const fn = (...data: number[]): Given => of([7], data, "float8e4m3fn"),
    wide = (...data: number[]): Given => of([2], data, "float8e5m2");
  await passes("Cast", [x], [fn(16, 20, -0, 448, 448, 448, NaN)], { to: { i: 17 } });
  await passes("Cast", [x], [fn(16, 20, -0, 448, NaN, NaN, NaN)], { to: { i: 17 }, saturate: { i: 0 } });
  await passes("Cast", [vector(-61439, 61440)], [wide(-57344, Infinity)], { to: { i: 19 }, saturate: { i: 0 } });
  await passes("QuantizeLinear", [vector(9, -3), scalar(3), of([], [0], "float8e5m2")], [wide(3, -1)]);
  await passes("Cast", [of([4], [-0, 2 ** -9, -448, NaN], "float8e4m3fn")], [vector(0, 2 ** -9, -448, NaN)], {
    to: { i: 1 },
  });
});

Deno.test("reductions: axes as attribute and input, none, negative, no elements; ArgMax of the last; TopK of the smallest", async () => {
  const x = of([2, 3], [1, -2, 3, 4, 5, -6]);
  await passes("ReduceSum", [x, longs(-1)], [of([2, 1], [2, 3])]);
  await passes("ReduceSum", [x, longs()], [x], { noop_with_empty_axes: { i: 1 } });
  await passes(
    "ReduceL2",
    [x],
    [of([1, 3], [Math.sqrt(17), Math.sqrt(29), Math.sqrt(45)])],
    { axes: { ints: [0] } },
    13,
  );
  await passes("ReduceMax", [of([2, 0], []), longs(1)], [of([2], [-Infinity, -Infinity])], { keepdims: { i: 0 } });
  await passes("ReduceMean", [ints(-7, 2), longs(0)], [ints(-2)], { keepdims: { i: 1 } });
  await passes("ReduceMin", [of([2, 2], [1, 0, 1, 1], "bool"), longs(1)], [of([2, 1], [0, 1], "bool")], {}, 20);
  await passes("ArgMax", [of([2, 3], [2, 2, 1, 0, 3, 3])], [of([2], [1, 2], "int64")], {
    axis: { i: 1 },
    keepdims: { i: 0 },
    select_last_index: { i: 1 },
  });
  await passes("TopK", [vector(3, 1, 2, 1), longs(3)], [vector(1, 1, 2), longs(1, 3, 2)], { largest: { i: 0 } });
  await passes("CumSum", [vector(1, 2, 3), scalar(0, "int32")], [vector(5, 3, 0)], {
    exclusive: { i: 1 },
    reverse: { i: 1 },
  });
  await passes("LpNormalization", [of([2, 2], [0, 0, 3, 4])], [of([2, 2], [0, 0, 0.6, 0.8])]);
});

Deno.test("gathering and scattering: negative indices, batches, slices, reductions, integers", async () => {
  const x = of([2, 2], [1, 2, 3, 4]), at = (shape: number[], data: number[]): Given => of(shape, data, "int64");
  await passes("Gather", [x, at([1, 2], [-1, 0])], [of([2, 1, 2], [2, 1, 4, 3])], { axis: { i: 1 } });
  await passes("GatherElements", [x, at([1, 2], [-1, 0])], [of([1, 2], [3, 2])]);
  await passes("GatherND", [of([2, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7]), at([2, 1], [-1, 0])], [of([2, 2], [2, 3, 4, 5])], {
    batch_dims: { i: 1 },
  });
  await passes("ScatterElements", [x, at([2, 1], [-1, 0]), of([2, 1], [10, 20])], [of([2, 2], [1, 10, 20, 4])], {
    axis: { i: 1 },
  });
  const many = [ints(5, 6, 7), at([3], [0, 0, -1]), ints(2, 3, 4)];
  await passes("ScatterElements", many, [ints(10, 6, 11)], { reduction: { s: "add" } });
  await passes("ScatterElements", many, [ints(30, 6, 28)], { reduction: { s: "mul" } });
  await passes("ScatterElements", many, [ints(2, 6, 4)], { reduction: { s: "min" } });
  await passes("ScatterND", [x, at([1, 1], [1]), of([1, 2], [9, 1])], [of([2, 2], [1, 2, 9, 4])], {
    reduction: { s: "max" },
  });
  await passes("ScatterND", [x, at([1, 2], [0, -1]), vector(NaN)], [of([2, 2], [1, NaN, 3, 4])]);
  const cache = of([1, 3, 1], [1, 2, 3]);
  await passes("TensorScatter", [cache, of([1, 2, 1], [8, 9]), longs(2)], [of([1, 3, 1], [9, 2, 8])], {
    mode: { s: "circular" },
  });
  await passes("Unique", [vector(3, 1, 1, 2)], [vector(3, 1, 2), longs(0, 1, 3), longs(0, 1, 1, 2), longs(1, 2, 1)], {
    sorted: { i: 0 },
  });
  await passes("NonZero", [of([2, 2], [0, 5, 6, 0])], [at([2, 2], [0, 1, 1, 0])]);
  await passes("OneHot", [ints(0, -1, 7), scalar(3, "int64"), vector(5, 1)], [of([3, 3], [1, 5, 5, 5, 5, 1, 5, 5, 5])]);
});

Deno.test("Resize by scales and sizes, in its modes", async () => {
  const line = (...data: number[]): Given => of([1, 1, data.length], data), x = line(1, 2, 4);
  const by = (scale: number): (Given | undefined)[] => [x, undefined, vector(1, 1, scale)];
  await passes("Resize", by(2), [line(1, 1, 2, 2, 4, 4)]);
  await passes("Resize", by(2), [line(1, 1.25, 1.75, 2.5, 3.5, 4)], { mode: { s: "linear" } });
  await passes("Resize", [x, undefined, undefined, longs(5)], [line(1, 1.5, 2, 3, 4)], {
    mode: { s: "linear" },
    coordinate_transformation_mode: { s: "align_corners" },
    axes: { ints: [-1] },
  });
  await passes("Resize", [line(1, 2, 4, 8), undefined, vector(1, 1, 0.5)], [line(1.75, 5.75)], {
    mode: { s: "linear" },
    antialias: { i: 1 },
  });
  await passes("Resize", [x, vector(0, 0, 0.5, 1, 1, 1.5), undefined, longs(1, 1, 3)], [line(2, 4, 7)], {
    mode: { s: "linear" },
    coordinate_transformation_mode: { s: "tf_crop_and_resize" },
    extrapolation_value: { f: 7 },
  });
  await passes("Upsample", [x, vector(1, 1, 2)], [line(1, 1, 2, 2, 4, 4)], {}, 9);
});

Deno.test("a model's attention: rows whose keys are all masked are 0, with and without our kernel", async () => {
  const q = of([1, 1, 2, 2], [1, 0, 0, 1]), k = q, v = of([1, 1, 2, 2], [1, 2, 3, 4]);
  const mask = of([2, 2], [0, 0, 1, 0], "bool"), masked = of([1, 1, 2, 2], [0, 0, 1, 2]);
  await passes("Attention", [q, k, v, mask], [masked]);
  await passes("Attention", [q, k, v, mask], [masked], { softcap: { f: 5 } });
});

Deno.test("losses with weights and a class that is ignored; quantisation in blocks", async () => {
  const logs = of([3, 2], [-1, -2, -3, -4, -5, -6]), labels = ints(0, 1, 1), ignored = { ignore_index: { i: 0 } };
  await passes("NegativeLogLikelihoodLoss", [logs, labels], [scalar((1 + 4 + 6) / 3)]);
  await passes("NegativeLogLikelihoodLoss", [logs, labels, vector(1, 3)], [scalar((1 + 12 + 18) / 7)]);
  await passes("NegativeLogLikelihoodLoss", [logs, labels], [vector(0, 4, 6)], {
    ...ignored,
    reduction: { s: "none" },
  });
  await passes("NegativeLogLikelihoodLoss", [logs, ints(-1, 1, 1)], [scalar(5)], { ignore_index: { i: -1 } });
  const [x, scale] = [of([1, 4], [1, 2.5, 30, 1000]), of([1, 2], [1, 2])],
    options = { axis: { i: 1 }, block_size: { i: 2 } };
  await passes(
    "QuantizeLinear",
    [x, scale, of([1, 2], [0, 10], "uint8")],
    [of([1, 4], [1, 2, 25, 255], "uint8")],
    options,
  );
  await passes("DequantizeLinear", [of([1, 3], [1, 2, 3], "int8"), scale], [of([1, 3], [1, 2, 6])], options);
});

Deno.test("counts of grams with words between; trees by thresholds, membership and missing values", async () => {
  const pool = {
    ngram_counts: { ints: [0, 2] },
    ngram_indexes: { ints: [2, 0, 1] },
    pool_int64s: { ints: [5, 6, 5, 6] },
  };
  const grams = {
    ...pool,
    mode: { s: "TF" },
    min_gram_length: { i: 1 },
    max_gram_length: { i: 2 },
    max_skip_count: { i: 1 },
  };
  // 5 three times, to column 2; 6 twice, to column 0; 5 before 6 once, and twice with one word between, to column 1.
  await passes("TfIdfVectorizer", [ints(5, 5, 6, 5, 1, 6)], [vector(2, 3, 3)], grams);
  const bytes = (...data: number[]): Attribute => ({ t: { ...vector(...data), type: "uint8" } });
  // x0 <= 1: 10, else x1 in {2, 4}: 20 to the second target, else 30 to the first.
  const tree = {
    nodes_featureids: { ints: [0, 1] },
    nodes_modes: bytes(0, 6),
    nodes_splits: { t: vector(1, 0) },
    nodes_truenodeids: { ints: [0, 1] },
    nodes_trueleafs: { ints: [1, 1] },
    nodes_falsenodeids: { ints: [1, 2] },
    nodes_falseleafs: { ints: [0, 1] },
    membership_values: { t: vector(2, 4, NaN) },
    leaf_targetids: { ints: [0, 1, 0] },
    leaf_weights: { t: vector(10, 20, 30) },
    tree_roots: { ints: [0] },
    n_targets: { i: 2 },
  };
  const x = of([4, 2], [1, 2, 3, 4, 3, 3, NaN, 2]);
  await passes("ai.onnx.ml.TreeEnsemble", [x], [of([4, 2], [10, 0, 0, 20, 30, 0, 0, 20])], tree);
});
