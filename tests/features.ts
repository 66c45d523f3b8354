/**
 * `deno task features`: FEATURES.md, the ops by what happens when they are traced: which types they take, whether a gradient can be taken, and a
 * gradient of that, and whether a batch is one run. What they compute is tested in the files of the last column.
 */
import * as ops from "../src/ops/mod.ts";
import { grad } from "../src/autograd/grad.ts";
import { vmap } from "../src/autograd/vmap.ts";
import { compile } from "../src/program/compile.ts";
import type { DType, Tensor } from "../src/program/graph.ts";
import { placeholder } from "../src/program/program.ts";
import { initialize } from "../src/nn/spec.ts";
import { batchNormStateSpec } from "../src/nn/layers.ts";

/** A call on one argument that may have any of the types; other arguments are its likes or of one type. */
type Call = (x: Tensor) => Tensor;

/** The calls of a family, the shape of their argument, and the tests of what they compute. */
interface Family {
  readonly title: string;
  readonly shape: readonly number[];
  readonly tests: readonly string[];
  readonly calls: Readonly<Record<string, Call>>;
}

type Name = keyof typeof ops;

/** Ops of one argument, or of two that are the same. */
const unary = (...names: Name[]): Record<string, Call> =>
  Object.fromEntries(names.map((name) => [name, (x: Tensor) => (ops[name] as unknown as Call)(x)]));
const binary = (...names: Name[]): Record<string, Call> =>
  Object.fromEntries(
    names.map((name) => [name, (x: Tensor) => (ops[name] as unknown as (a: Tensor, b: Tensor) => Tensor)(x, x)]),
  );

const u32 = (...shape: number[]): Tensor => placeholder({ shape, dtype: "u32" });
const f32 = (...shape: number[]): Tensor => placeholder({ shape, dtype: "f32" });

const families: readonly Family[] = [
  {
    title: "Arithmetic",
    shape: [4, 4],
    tests: ["elementwise", "integers", "division", "nan"],
    calls: {
      ...binary("add", "subtract", "multiply", "divide", "maximum", "minimum", "floorDivide", "remainder", "fmod"),
      ...unary("negate", "abs", "sign", "square"),
      clamp: (x) => ops.clamp(x, 0, 1),
      where: (x) => ops.where(f32(4, 4), x, x),
      cast: (x) => ops.cast(x, "f32"),
    },
  },
  {
    title: "Comparisons, logic, bits (f32 0 or 1; bits give their own type)",
    shape: [4, 4],
    tests: ["logic", "integers"],
    calls: {
      ...binary("equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual"),
      ...binary("logicalAnd", "logicalOr", "logicalXor"),
      ...unary("logicalNot", "isNaN", "isInf", "isFinite"),
      ...binary("bitwiseAnd", "bitwiseOr", "bitwiseXor", "leftShift", "rightShift"),
      ...unary("bitwiseNot"),
    },
  },
  {
    title: "Mathematics",
    shape: [4, 4],
    tests: ["math", "trigonometry", "elementwise", "nan"],
    calls: {
      ...unary("sqrt", "rsqrt", "reciprocal", "exp", "exp2", "expm1", "log", "log2", "log1p", "erf", "erfInv"),
      ...binary("pow", "atan2"),
      ...unary("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
      ...unary("floor", "ceil", "round", "trunc"),
    },
  },
  {
    title: "Activations",
    shape: [4, 4],
    tests: ["activations", "elementwise"],
    calls: unary(
      ...["relu", "sigmoid", "gelu", "silu", "softplus", "softsign", "mish", "elu", "selu", "leakyRelu"] as Name[],
      ...["logSigmoid", "hardTanh", "hardSigmoid", "hardSwish"] as Name[],
    ),
  },
  {
    title: "Reductions and scans",
    shape: [4, 6],
    tests: ["reduce", "reductions", "scan", "nan_reductions", "argmax"],
    calls: {
      ...unary("sum", "mean", "max", "min", "prod", "any", "all", "variance", "std", "norm", "l2Normalize"),
      ...unary("logSumExp", "softmax", "logSoftmax", "cumsum", "cumprod", "logCumsumExp", "argmax", "argmin"),
    },
  },
  {
    title: "Order",
    shape: [4, 6],
    tests: ["sort", "top_k"],
    calls: { ...unary("sort", "argsort"), topK: (x) => ops.topK(x, 2)[0]! },
  },
  {
    title: "Shapes",
    shape: [2, 1, 6],
    tests: ["shape", "axes", "repeat", "strided", "roll", "pad", "transpose", "diagonals"],
    calls: {
      reshape: (x) => ops.reshape(x, [12]),
      transpose: (x) => ops.transpose(x, [2, 0, 1]),
      ...unary("squeeze"),
      expandDims: (x) => ops.expandDims(x, 0),
      flatten: (x) => ops.flatten(x, 0),
      swapAxes: (x) => ops.swapAxes(x, 0, 2),
      moveAxis: (x) => ops.moveAxis(x, 0, 2),
      broadcastTo: (x) => ops.broadcastTo(x, [2, 3, 6]),
      concat: (x) => ops.concat([x, x], 1),
      stack: (x) => ops.stack([x, x], 1),
      split: (x) => ops.split(x, 2)[0]!,
      slice: (x) => ops.slice(x, 2, 1, 4),
      strided: (x) => ops.strided(x, [{ axis: 2, start: 0, stop: 6, step: 2 }]),
      flip: (x) => ops.flip(x, 2),
      roll: (x) => ops.roll(x, 1, 2),
      repeat: (x) => ops.repeat(x, 2, 1),
      tile: (x) => ops.tile(x, [1, 1, 2]),
      pad: (x) => ops.pad(x, [0, 0, [1, 2]]),
      tril: (x) => ops.tril(x),
      triu: (x) => ops.triu(x),
      diagonal: (x) => ops.diagonal(x),
    },
  },
  {
    title: "Indexing",
    shape: [5, 3],
    tests: ["gather", "take"],
    calls: {
      gather: (x) => ops.gather(x, u32(4)),
      scatterAdd: (x) => ops.scatterAdd(x, u32(5), 7),
      take: (x) => ops.take(x, u32(2, 2), 1),
      takeAlongAxis: (x) => ops.takeAlongAxis(x, u32(5, 2), 1),
      scatterAddAlongAxis: (x) => ops.scatterAddAlongAxis(x, u32(5, 3), 4, 1),
    },
  },
  {
    title:
      "Random draws (uniform, randomBits, randint, normal, truncatedNormal, bernoulli, gumbel, permutation and choice take a key and a shape)",
    shape: [4, 6],
    tests: ["random", "distributions"],
    calls: {
      dropout: (x) => ops.dropout(x, 0.5, ops.randomKey(u32(2))),
      categorical: (x) => ops.categorical(ops.randomKey(u32(2)), x),
      shuffle: (x) => ops.shuffle(ops.randomKey(u32(2)), x),
    },
  },
  {
    title: "Products",
    shape: [4, 4],
    tests: ["matmul", "matmul_broadcast", "einsum"],
    calls: {
      ...binary("matmul"),
      einsum: (x) => ops.einsum("ij,jk->ik", x, x),
      tensordot: (x) => ops.tensordot(x, x, 1),
      dot: (x) => ops.dot(ops.reshape(x, [16]), ops.reshape(x, [16])),
      outer: (x) => ops.outer(ops.reshape(x, [16]), ops.reshape(x, [16])),
    },
  },
  {
    title: "Networks",
    shape: [2, 4, 8, 8],
    tests: ["conv", "pool", "resize", "layer_norm", "norms"],
    calls: {
      conv2d: (x) => ops.conv2d(x, f32(3, 4, 3, 3), { padding: "same" }),
      convTranspose2d: (x) => ops.convTranspose2d(x, f32(4, 3, 2, 2), { stride: 2 }),
      maxPool2d: (x) => ops.maxPool2d(x, 2),
      avgPool2d: (x) => ops.avgPool2d(x, 2),
      resize: (x) => ops.resize(x, [5, 5], { method: "bilinear" }),
      layerNorm: (x) => ops.layerNorm(x, f32(8), f32(8), 1e-5),
      rmsNorm: (x) => ops.rmsNorm(x, f32(8), 1e-5),
      groupNorm: (x) => ops.groupNorm(x, 2, f32(4), f32(4), 1e-5),
      batchNorm: (x) =>
        ops.batchNorm(x, f32(4), f32(4), initialize(batchNormStateSpec(4), 0) as never, { training: true })[0],
    },
  },
  {
    title: "Attention and losses",
    shape: [2, 6, 8],
    tests: ["attention", "attention_variants", "rotary_embedding", "cross_entropy"],
    calls: {
      attention: (x) => ops.attention(x, x, x, { heads: 2 }),
      rotaryEmbedding: (x) => ops.rotaryEmbedding(x, { heads: 2 }),
      crossEntropy: (x) => ops.crossEntropy(ops.reshape(x, [12, 8]), u32(12))[0]!,
    },
  },
];

/** Whether something can be traced and planned; nothing runs. */
async function can(call: Call, shape: readonly number[], dtype: DType): Promise<boolean> {
  try {
    await compile(call).program(placeholder({ shape, dtype }));
    return true;
  } catch {
    return false;
  }
}

/** The gradient of a weighted sum, so that a constant result has none. */
function gradientOf(call: Call): Call {
  return (x) => grad((x: Tensor) => ops.sum(ops.square(call(x))))(x);
}

/** How `vmap` applies something: to the whole batch, or to one element after the other, with more kernels the larger the batch. */
async function batching(call: Call, shape: readonly number[], dtype: DType): Promise<string> {
  const kernels = async (size: number): Promise<number> =>
    (await compile(vmap(call)).program(placeholder({ shape: [size, ...shape], dtype }))).plan.steps.length;
  return await kernels(2) < await kernels(5) ? "one by one" : "yes";
}

async function row(name: string, call: Call, { shape, tests }: Family): Promise<string> {
  const types: DType[] = [];
  for (const dtype of ["f32", "f16", "i32", "u32"] as const) if (await can(call, shape, dtype)) types.push(dtype);
  const first = await can(gradientOf(call), shape, "f32"),
    second = await can(gradientOf(gradientOf(call)), shape, "f32");
  const files = tests.map((test) => `${test}_test`).join(", ");
  const gradients = [first, second].map((there) => there ? "yes" : "no").join(" | ");
  return `| \`${name}\` | ${types.join(", ")} | ${gradients} | ${await batching(call, shape, types[0]!)} | ${files} |`;
}

/** The page. */
export async function featuresPage(): Promise<string> {
  const parts = [
    "# Features",
    "The ops by what happens when they are traced (`deno task features` writes this page, a test compares it): the types of the first argument, " +
    "whether a gradient can be taken, and a gradient of that gradient, and whether `vmap` takes a batch in one run. f16 is a type of storage: results are f32. Comparisons, logic, rounding and floorDivide " +
    "have a gradient of 0; comparisons give f32 0 or 1; " +
    "there is no bool. What the ops compute is tested in `tests/ops` against float64 references. Forward mode (`jvp`) takes what has a second derivative. " +
    "`scan` is a loop in a program, `whileLoop` one that ends by a condition, within a bound; both are differentiable and batched. " +
    "Not there yet: a bool type, promotion of mixed types. What calls give that once surprised is in VALUES.md.",
  ];
  for (const family of families) {
    const rows: string[] = [];
    for (const [name, call] of Object.entries(family.calls)) rows.push(await row(name, call, family));
    parts.push(
      `## ${family.title}`,
      ["| op | types | gradient | second | vmap | tests |", "|---|---|---|---|---|---|", ...rows].join("\n"),
    );
  }
  return parts.join("\n\n") + "\n";
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("../FEATURES.md", import.meta.url), await featuresPage());
  Deno.exit(0);
}
