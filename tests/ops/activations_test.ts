import { assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import {
  elu,
  gelu,
  hardSigmoid,
  hardSwish,
  hardTanh,
  leakyRelu,
  logSigmoid,
  mish,
  selu,
  silu,
  softplus,
  softsign,
} from "../../src/ops/activations.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Edges } from "../testing/check_op.ts";
import { assertClose } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";
import { steps, testUnary, type UnaryCase } from "../testing/unary.ts";
import { testWhere } from "../testing/where.ts";

const { f16 } = (await defaultDevice()).profile;
const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplusOf = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const tanhOfSoftplus = (x: number): number => Math.tanh(softplusOf(x));
const clip = (x: number): number => Math.min(1, Math.max(0, x / 6 + 0.5));
const eluOf = (alpha: number) => (x: number): number => x > 0 ? x : alpha * Math.expm1(x);
const SCALE = 1.0507009873554805, ALPHA = 1.6732632423543772;

const cubic = (x: number): number => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
const geluTanhSlope = (x: number): number => {
  const t = Math.tanh(cubic(x)), inner = Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner;
};

const left: Edges = { kinks: (below) => below };
const ofLimits: Edges = { kinks: (below, above) => Math.abs(below) < Math.abs(above) ? below : above };
const stays = [[Infinity, Infinity]] as const;
const signedZeros = [[0, 0], [-0, -0]] as const;

const unary: Record<string, UnaryCase> = {
  "gelu tanh": {
    op: (x) => gelu(x, { approximate: "tanh" }),
    reference: (x) => 0.5 * x * (1 + Math.tanh(cubic(x))),
    derivative: geluTanhSlope,
    values: [...stays, [-Infinity, NaN], [0, 0], [1e30, 1e30], [100, 100]],
  },
  silu: {
    op: silu,
    reference: (x) => x * sigmoid(x),
    derivative: (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
    values: [...stays, [-Infinity, NaN], ...signedZeros, [1e30, 1e30]],
    exact: steps(-80, 100).map((x) => Math.abs(x) < 20 ? x : Math.abs(x)), // far below, WGSL's exp() counts
  },
  softplus: {
    op: softplus,
    reference: softplusOf,
    derivative: sigmoid,
    values: [...stays, [-Infinity, 0], [1e30, 1e30], [1000, 1000], [0, Math.LN2]],
    exact: steps(-80, 1000),
  },
  logSigmoid: {
    op: logSigmoid,
    reference: (x) => -softplusOf(-x),
    derivative: (x) => sigmoid(-x),
    values: [[-Infinity, -Infinity], [Infinity, -0], [-1e30, -1e30], [0, -Math.LN2]],
    exact: steps(-1000, 80),
  },
  mish: {
    op: mish,
    reference: (x) => x * tanhOfSoftplus(x),
    derivative: (x) => tanhOfSoftplus(x) + x * (1 - tanhOfSoftplus(x) ** 2) * sigmoid(x),
    values: [...stays, ...signedZeros, [1e30, 1e30], [50, 50]],
    exact: steps(-80, 100),
  },
  leakyRelu: {
    op: (x) => leakyRelu(x, 0.2),
    reference: (x) => x > 0 ? x : 0.2 * x,
    edges: left,
    values: [...stays, [-Infinity, -Infinity], ...signedZeros, [-5, -1], [3, 3]],
  },
  elu: {
    op: (x) => elu(x, 1.5),
    reference: eluOf(1.5),
    derivative: (x) => x > 0 ? 1 : 1.5 * Math.exp(x),
    edges: { kinks: "the derivative jumps at 0: that of the left side, see below" },
    values: [...stays, [-Infinity, -1.5], ...signedZeros, [-1e30, -1.5], [100, 100]],
    exact: steps(-80, 100),
  },
  selu: {
    op: selu,
    reference: (x) => SCALE * eluOf(ALPHA)(x),
    derivative: (x) => SCALE * (x > 0 ? 1 : ALPHA * Math.exp(x)),
    edges: { kinks: "the derivative jumps at 0: that of the left side, see below" },
    values: [...stays, [-Infinity, -SCALE * ALPHA], ...signedZeros],
    exact: steps(-80, 100),
  },
  hardSigmoid: {
    op: hardSigmoid,
    reference: clip,
    range: [0, 5],
    edges: ofLimits,
    values: [...stays.map(([x]) => [x, 1] as const), [-Infinity, 0], [-3, 0], [3, 1], [0, 0.5], [1e30, 1]],
  },
  hardSwish: {
    op: hardSwish,
    reference: (x) => x * clip(x),
    range: [0, 5],
    edges: { kinks: "at -3 and 3 the slope is that outside: see below" },
    values: [...stays, [-Infinity, NaN], ...signedZeros, [-3, -0], [3, 3], [1e30, 1e30]],
  },
  hardTanh: {
    op: (x) => hardTanh(x, -0.5, 1),
    reference: (x) => Math.min(1, Math.max(-0.5, x)),
    edges: ofLimits,
    values: [[-Infinity, -0.5], [Infinity, 1], ...signedZeros, [1e30, 1]],
  },
  softsign: {
    op: softsign,
    reference: (x) => x / (1 + Math.abs(x)),
    derivative: (x) => 1 / (1 + Math.abs(x)) ** 2,
    edges: { kinks: (below, above) => (below + above) / 2 }, // of the derivative, at 0
    values: [[-Infinity, -1], [Infinity, 1], ...signedZeros, [-1e30, -1]],
    exact: steps(-1000, 1000),
  },
};

for (const [name, one] of Object.entries(unary)) testUnary(name, one);

Deno.test("gelu() is that of the erf unless the other is asked for", async () => {
  const x = tensor([-2, 2]);
  assertClose(await host(gelu(x)), [-0.0455002639, 1.9544997361]);
  assertClose(await host(gelu(x, { approximate: "none" })), [-0.0455002639, 1.9544997361]);
  assertClose(await host(gelu(x, { approximate: "tanh" })), [-0.0454023059, 1.9545976941]);
});

Deno.test("default slopes and limits are those of PyTorch", async () => {
  const x = tensor([-2, -0.5, 0.5, 2]);
  assertClose(await host(leakyRelu(x)), [-0.02, -0.005, 0.5, 2]);
  assertClose(await host(elu(x)), [Math.expm1(-2), Math.expm1(-0.5), 0.5, 2]);
  assertEquals(await host(hardTanh(x)), [-1, -0.5, 0.5, 1]);
});

Deno.test("gradients where the slope jumps are those of PyTorch", async () => {
  const slopes = async (op: (x: Tensor) => Tensor, x: number[]) =>
    await host(grad((v: Tensor) => sum(op(v)))(tensor(x)));
  assertClose(await slopes((x) => leakyRelu(x, 0.25), [0, -0, 1]), [0.25, 0.25, 1]);
  assertClose(await slopes((x) => elu(x, 2), [0, -0, 1]), [2, 2, 1]);
  assertClose(await slopes(selu, [0, -0, 1]), [SCALE * ALPHA, SCALE * ALPHA, SCALE]);
  assertClose(await slopes(hardSigmoid, [-3, 0, 3]), [0, 1 / 6, 0]);
  assertClose(await slopes(hardSwish, [-3, 0, 3]), [0, 0.5, 1]);
  assertClose(await slopes(hardTanh, [-1, 0, 1]), [0, 1, 0]);
});

Deno.test("no activation's first or second derivative overflows or gives NaN on numbers up to 1e10", async () => {
  const x = tensor([-1e10, -1e4, -300, -89, -16, 0, 16, 89, 300, 1e4, 1e10]);
  for (const [name, { op }] of Object.entries(unary)) {
    const slope = (v: Tensor): Tensor => grad((y: Tensor) => sum(op(y)))(v);
    for (const values of [slope(x), grad((y: Tensor) => sum(slope(y)))(x)]) {
      assertEquals((await host(values)).filter((v) => !Number.isFinite(v)), [], name);
    }
  }
});

Deno.test("activations run in the kernel of a product, and keep its NaN", async () => {
  for (const { op } of Object.values(unary)) {
    const y = op(matmul(tensor([2, NaN], [2, 1]), tensor([1, 0.5, -1], [1, 3])));
    const alone = await host(op(tensor([2, 1, -2])));
    const [a, b, c, ...rest] = await host(y);
    assertClose([a!, b!, c!], alone);
    assertEquals(rest, [NaN, NaN, NaN]);
  }
});

testWhere(f16, "the adapter has none", "activations of 16-bit floats are computed and given in f32", async () => {
  const x = tensor(Uint16Array.of(0xc000, 0x3c00), [2]); // -2 and 1
  for (const { op, reference } of Object.values(unary)) {
    assertClose(await host(op(x)), [reference(-2), reference(1)]);
  }
});

Deno.test("integers and limits in the wrong order are refused", () => {
  const x = placeholder([2], "i32");
  assertThrows(() => elu(x), TypeError, "Cannot apply elu: the operand must be f32 or f16: it is i32");
  assertThrows(() => gelu(x, { approximate: "tanh" }), TypeError, "Cannot apply gelu");
  assertThrows(
    () => hardTanh(placeholder([2]), 1, -1),
    RangeError,
    "Cannot apply hardTanh: low must not be above high: they are 1 and -1",
  );
});
