import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { gelu } from "../../src/ops/activations.ts";
import {
  abs,
  add,
  cast,
  clamp,
  divide,
  equal,
  erf,
  exp,
  greaterEqual,
  iota,
  less,
  log,
  maximum,
  minimum,
  multiply,
  negate,
  relu,
  sigmoid,
  sign,
  sqrt,
  square,
  subtract,
  tanh,
  where,
} from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { defaultDevice, Device, openDevice } from "../../src/gpu/device.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { broadcastTo, sum } from "../../src/ops/reduce.ts";
import { concat, reshape, slice } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type CheckOptions, type Edges, elementwise } from "../testing/check_op.ts";
import { erfReference } from "../testing/normal.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";
import { testWhere } from "../testing/where.ts";

const density = (x: number): number => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
const geluReference = (x: number): number => x * (1 + erfReference(x / Math.SQRT2)) / 2;
const sigmoidReference = (x: number): number => 1 / (1 + Math.exp(-x));

/** Two halves at equal numbers, and 0 for the slope of |x| at 0. */
const halfway: Edges = { kinks: (below, above) => (below + above) / 2 };
/** Functions that jump have gradient 0 everywhere. */
const flat: Edges = { kinks: () => 0 };
const positive: Edges = { domain: (x) => Math.max(Math.abs(x), 0.5) };
/** No division by zero. */
const divisor: Edges = { domain: (x, input) => input === 1 && x === 0 ? 0.25 : x };

interface UnaryCase {
  readonly op: (x: Tensor) => Tensor;
  readonly reference: (x: number) => number;
  /** Inputs are uniform in [centre - radius, centre + radius]. */
  readonly range?: readonly [centre: number, radius: number];
  /** The derivative, where its own derivative is checked too. */
  readonly derivative?: (x: number) => number;
  readonly options?: CheckOptions;
}

const unary: Record<string, UnaryCase> = {
  negate: { op: negate, reference: (x) => -x },
  exp: {
    op: exp,
    reference: Math.exp,
    derivative: Math.exp,
    options: { edges: { domain: (x) => Math.min(x, 30) } }, // beyond, rounding in f32 is more than is allowed here
  },
  log: { op: log, reference: Math.log, range: [2, 1.5], derivative: (x) => 1 / x, options: { edges: positive } },
  sqrt: {
    op: sqrt,
    reference: Math.sqrt,
    range: [2, 1.5],
    derivative: (x) => 0.5 / Math.sqrt(x),
    options: { edges: positive },
  },
  square: { op: square, reference: (x) => x * x, derivative: (x) => 2 * x },
  abs: { op: abs, reference: Math.abs, options: { edges: halfway } },
  sign: { op: sign, reference: Math.sign, options: { edges: flat } },
  tanh: { op: tanh, reference: Math.tanh, derivative: (x) => 1 - Math.tanh(x) ** 2 },
  sigmoid: {
    op: sigmoid,
    reference: sigmoidReference,
    derivative: (x) => sigmoidReference(x) * (1 - sigmoidReference(x)),
  },
  relu: { op: relu, reference: (x) => Math.max(x, 0), options: { edges: { kinks: (below) => below } } },
  erf: { op: erf, reference: erfReference, derivative: (x) => 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) },
  gelu: {
    op: gelu,
    reference: geluReference,
    derivative: (x) => (1 + erfReference(x / Math.SQRT2)) / 2 + x * density(x),
  },
  clamp: {
    op: (x) => clamp(x, -1, 1),
    reference: (x) => Math.min(1, Math.max(-1, x)),
    options: { edges: { kinks: (below, above) => Math.abs(below) > Math.abs(above) ? below : above } }, // that inside
  },
};

const shapes = [[], [1], [7], [4, 8], [3, 5, 6], [257], [64, 12]];

for (const [name, { op, reference, range: [centre, radius] = [0, 3], derivative, options }] of Object.entries(unary)) {
  Deno.test(`${name}() and its gradient equal the float64 reference on every shape`, async () => {
    for (const [i, shape] of shapes.entries()) {
      await checkOp(op, [randomTensor(shape, 31 + i, radius, centre)], elementwise(reference), options);
    }
  });
  if (!derivative) continue;
  Deno.test(`the second derivative of ${name}() equals the reference`, async () => {
    const first = grad((x: Tensor) => sum(op(x)));
    await checkOp(first, [randomTensor([3, 7], 5, radius, centre)], elementwise(derivative), options);
    await checkOp(first, [randomTensor([4, 4], 6, radius, centre)], elementwise(derivative), options);
  });
}

Deno.test("the third derivative of gelu() equals the reference", async () => {
  const second = grad((x: Tensor) => sum(grad((y: Tensor) => sum(gelu(y)))(x)));
  await checkOp(second, [randomTensor([11], 8, 3)], elementwise((x) => (2 - x * x) * density(x)));
});

interface BinaryCase {
  readonly op: (a: Tensor, b: Tensor) => Tensor;
  readonly reference: (a: number, b: number) => number;
  readonly shift?: number;
  readonly edges?: Edges;
}

const binary: Record<string, BinaryCase> = {
  add: { op: add, reference: (a, b) => a + b },
  subtract: { op: subtract, reference: (a, b) => a - b },
  multiply: { op: multiply, reference: (a, b) => a * b },
  divide: { op: divide, reference: (a, b) => a / b, shift: 3, edges: divisor },
  maximum: { op: maximum, reference: Math.max, edges: halfway },
  minimum: { op: minimum, reference: Math.min, edges: halfway },
  less: { op: less, reference: (a, b) => Number(a < b), edges: flat },
  greaterEqual: { op: greaterEqual, reference: (a, b) => Number(a >= b), edges: flat },
  equal: { op: equal, reference: (a, b) => Number(a === b), edges: flat },
  where: {
    op: (a, b) => where(less(a, b), a, multiply(b, 3)),
    reference: (a, b) => a < b ? a : 3 * b,
    edges: { kinks: "where operands are equal the value jumps: the gradient is that of one side" },
  },
};

/** Broadcasting along the first, the middle, the last and missing axes, of both operands, in both vector widths. */
const pairs: [number[], number[]][] = [
  [[6, 8], [6, 8]],
  [[5, 7], [5, 7]],
  [[4, 8], [8]],
  [[4, 8], [4, 1]],
  [[3, 1, 4], [1, 5, 1]],
  [[1, 3, 1, 8], [2, 1, 5, 8]],
  [[], [3, 4]],
  [[13], [1]],
  [[2, 3, 5], [3, 1]],
  [[1, 1], [7, 4]],
];

for (const [name, { op, reference, shift = 0, edges = {} }] of Object.entries(binary)) {
  Deno.test(`${name}() broadcasts, and its gradients are summed back`, async () => {
    for (const [i, [a, b]] of pairs.entries()) {
      const inputs = [randomTensor(a, 100 + i, 2, shift), randomTensor(b, 200 + i, 2, shift)];
      await checkOp(op, inputs, elementwise(reference), { edges });
    }
  });
}

Deno.test("mixed second derivatives equal the reference", async () => {
  const first = grad((a: Tensor, b: Tensor) => sum(divide(multiply(a, tanh(b)), b)));
  const inputs = [randomTensor([4, 5], 1, 1), randomTensor([5], 2, 1, 3)];
  await checkOp((a, b) => add(first(a, b), multiply(a, 0)), inputs, elementwise((_, b) => Math.tanh(b) / b), {
    edges: divisor,
  });
});

Deno.test("maximum() and minimum() give each of two equal numbers half of the gradient, clamp() all of it at its limits", async () => {
  const a = tensor([1, 2, 3, 4]), b = tensor([1, 2, 0, 9]);
  const [maxA, maxB] = grad(([x, y]: [Tensor, Tensor]) => sum(maximum(x, y)))([a, b]);
  const [minA, minB] = grad(([x, y]: [Tensor, Tensor]) => sum(minimum(x, y)))([a, b]);
  assertEquals([...await toHost(maxA)], [0.5, 0.5, 1, 0]);
  assertEquals([...await toHost(maxB)], [0.5, 0.5, 0, 1]);
  assertEquals([...await toHost(minA)], [0.5, 0.5, 0, 1]);
  assertEquals([...await toHost(minB)], [0.5, 0.5, 1, 0]);
  assertEquals([...await toHost(grad((x: Tensor) => sum(clamp(x, 2, 3)))(a))], [0, 1, 1, 0]);
});

Deno.test("relu() and abs() have gradient 0 at 0 and at negative zero", async () => {
  const x = tensor([-2, -0, 0, 3]);
  assertEquals([...await toHost(grad((y: Tensor) => sum(relu(y)))(x))], [0, 0, 0, 1]);
  assertEquals([...await toHost(grad((y: Tensor) => sum(abs(y)))(x))], [-1, 0, 0, 1]);
});

Deno.test("where() gives the gradient to what it took, whatever number its condition is", async () => {
  const condition = tensor([2, 0, -0.5, -0, 1e30]);
  const [a, b] = grad(([x, y]: [Tensor, Tensor]) => sum(multiply(where(condition, x, y), 3)))([
    tensor([1, 2, 3, 4, 5]),
    tensor([6, 7, 8, 9, 10]),
  ]);
  assertEquals([...await toHost(a)], [3, 0, 3, 0, 3]);
  assertEquals([...await toHost(b)], [0, 3, 0, 3, 0]);
});

Deno.test("where() of a root has the gradient that its documentation says", async () => {
  const zero = tensor([0, 4]), c = tensor([0, 1]);
  const plain = grad((x: Tensor) => sum(where(c, sqrt(x), 0)))(zero);
  assertEquals([...await toHost(plain)], [NaN, 0.25]);
  const guarded = grad((x: Tensor) => sum(where(c, sqrt(where(c, x, 1)), 0)))(zero);
  assertEquals([...await toHost(guarded)], [0, 0.25]);
});

Deno.test("no bounded function overflows or gives NaN on numbers up to 1e4", async () => {
  const x = tensor([-1e4, -300, -89, -16, 16, 89, 300, 1e4]);
  const large = Array.from(await toHost(x));
  const finite = (values: ArrayLike<number>) => Array.from(values).every(Number.isFinite);
  for (const op of [tanh, sigmoid, erf, gelu, relu, square, abs]) {
    const slope = grad((y: Tensor) => sum(op(y)))(x),
      bend = grad((y: Tensor) => sum(grad((z: Tensor) => sum(op(z)))(y)))(x);
    assertEquals([finite(await toHost(op(x))), finite(await toHost(slope)), finite(await toHost(bend))], [
      true,
      true,
      true,
    ]);
  }
  assertClose(await toHost(tanh(x)), large.map(Math.tanh));
  assertClose(await toHost(sigmoid(x)), large.map(sigmoidReference));
  assertClose(await toHost(gelu(x)), large.map((v) => Math.max(v, 0)), 1e-6);
  assertClose(await toHost(erf(x)), large.map(Math.sign));
});

Deno.test("tanh() is exact to a relative error of 1e-6 from 1e-8 to 20", async () => {
  const count = 4000; // positive and negative by turns
  const x = Float32Array.from({ length: count }, (_, i) => (i % 2 ? -1 : 1) * 1e-8 * 2e9 ** (i / (count - 1)));
  const y = await toHost(tanh(tensor(x)));
  const errors = Array.from(x, (v, i) => Math.abs(y[i]! / Math.tanh(v) - 1));
  assertClose([Math.max(...errors)], [0], 0, 1e-6);
});

Deno.test("erf() is exact to 5e-7 from -5 to 5", async () => {
  const x = Float32Array.from({ length: 2001 }, (_, i) => (i - 1000) / 200);
  assertClose(await toHost(erf(tensor(x))), Array.from(x, erfReference), 0, 5e-7);
});

Deno.test("integers are added, multiplied, compared and converted exactly", async () => {
  const a = tensor(Int32Array.of(-7, 3, 2 ** 30, 5, 0)), b = tensor(Int32Array.of(2, 3, -1, 4, 9));
  assertEquals([...await toHost(add(a, b))], [-5, 6, 2 ** 30 - 1, 9, 9]);
  assertEquals([...await toHost(multiply(a, 3))], [-21, 9, (3 * 2 ** 30) | 0, 15, 0]);
  assertEquals([...await toHost(equal(a, b))], [0, 1, 0, 0, 0]);
  assertEquals([...await toHost(less(a, b))], [1, 0, 0, 0, 1]);
  assertEquals([...await toHost(cast(tensor([-2.7, 2.7, 0.5]), "i32"))], [-2, 2, 0]);
  assertEquals([...await toHost(cast(tensor(Uint32Array.of(0, 4e9)), "f32"))], [0, 4e9]);
  assertEquals([...await toHost(full([2], -3, "i32"))], [-3, -3]);
});

Deno.test("no gradient flows through a conversion of integers", async () => {
  const scaled = grad((x: Tensor) => sum(multiply(x, cast(cast(x, "i32"), "f32"))));
  assertEquals([...await toHost(scaled(tensor([2.5, -3.5])))], [2, -3]);
  assertEquals([...await toHost(grad((n: Tensor) => sum(cast(n, "f32")))(tensor(Int32Array.of(4, 5))))], [0, 0]);
});

const { f16 } = (await defaultDevice()).profile;

testWhere(f16, "the adapter has none", "16-bit floats are stored, read, moved and differentiated", async () => {
  const ones = tensor(Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600), [6]); // 1 to 6
  assertEquals(ones.dtype, "f16");
  assertEquals([...await toHost(add(ones, 0.5))], [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]);
  assertEquals([...await toHost(multiply(reshape(ones, [6, 1]), tensor([1, 10])))].slice(0, 4), [1, 10, 2, 20]);
  const halves = (values: number[]) => cast(tensor(values), "f16");
  assertEquals([...await toHost(halves([1, -2, 65504, 1e6]))], [0x3c00, 0xc000, 0x7bff, 0x7bff]);
  const rounded = 2049; // lies between two 16-bit floats
  assertEquals([...await toHost(cast(halves([rounded, 1 / 3]), "f32"))], [2048, 0.333251953125]);
  assertEquals([...await toHost(slice(ones, 0, 2, 4))], [0x4200, 0x4400]);
  assertEquals([...await toHost(concat([slice(ones, 0, 4, 6), ones], 0))].slice(0, 3), [0x4500, 0x4600, 0x3c00]);
  await assertRejects(() => toHost(add(slice(ones, 0, 1, 3), 1)), RangeError, "must start and end at even elements");
  await assertRejects(() => toHost(slice(ones, 0, 1, 3)), RangeError, "must start and end at even elements");
  const slope = grad((x: Tensor) => sum(square(cast(cast(x, "f16"), "f32"))));
  assertEquals([...await toHost(slope(tensor([3, -0.5])))], [6, -1]);
});

Deno.test("a 16-bit float is refused where the adapter has none", async () => {
  const device = await openDevice();
  const without = new Device(device.gpu, device.adapter, { ...device.profile, f16: false });
  const f = compile((x: Tensor) => cast(x, "f16"), { device: without });
  await assertRejects(
    () => f(tensor([1])),
    UnsupportedError,
    "Cannot run cast: the adapter has no 16-bit floats (shader-f16)",
  );
});

Deno.test("iota() counts along its axis", async () => {
  assertEquals([...await toHost(iota([2, 3, 2], 1))], [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
  assertEquals([...await toHost(iota([2, 3], -1))], [0, 1, 2, 0, 1, 2]);
  assertEquals([...await toHost(iota([2, 3], -2))], [0, 0, 0, 1, 1, 1]);
  assertEquals([...await toHost(add(cast(iota([2, 4], 1), "f32"), tensor([10, 20], [2, 1])))], [
    ...[10, 11, 12, 13],
    ...[20, 21, 22, 23],
  ]);
});

Deno.test("broadcastTo() repeats, and sums back", async () => {
  await checkOp(
    (x) => broadcastTo(x, [2, 3, 4]),
    [randomTensor([3, 1], 3)],
    (x) => elementwise((v) => v)(x, { data: new Float64Array(24), shape: [2, 3, 4] }),
  );
});

Deno.test("an array beyond 65,535 workgroups is computed to its end", async () => {
  const size = 65536 * 64 + 3;
  const x = new Float32Array(size);
  x.set([5, 6, 7], size - 3);
  const y = await toHost(add(tensor(x), 1));
  assertEquals([...y.subarray(0, 2), ...y.subarray(size - 4)], [1, 1, 1, 6, 7, 8]);
});

Deno.test("shapes and types that do not fit are refused with a sentence", () => {
  assertThrows(
    () => add(placeholder([2, 3]), placeholder([4, 3])),
    RangeError,
    "Cannot broadcast the operands of add: axis lengths must be equal or 1: shapes are [2,3] and [4,3]",
  );
  assertThrows(
    () => multiply(placeholder([2]), placeholder([2], "i32")),
    TypeError,
    "Cannot apply multiply: operands must have one element type: they are f32 and i32",
  );
  assertThrows(() => broadcastTo(placeholder([3]), [2, 1]), RangeError, "Cannot broadcast [3] to [2,1]");
  assertThrows(
    () => exp(placeholder([2], "i32")),
    TypeError,
    "Cannot apply exp: the operand must be f32 or f16: it is i32",
  );
  assertThrows(
    () => multiply(placeholder([2], "i32"), 0.5),
    TypeError,
    "Cannot fill a tensor of type i32: the value must be an integer: it is 0.5",
  );
  assertThrows(
    () => iota([2, 3], 2),
    RangeError,
    "Cannot apply iota: axis must be an integer from -2 to 1: axis is 2",
  );
});
