import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import type { Device } from "../../src/gpu/device.ts";
import { conv1dSpec, conv2dSpec, convTranspose2dSpec } from "../../src/nn/layers.ts";
import { initialize } from "../../src/nn/spec.ts";
import { convInputGradOp, convOp, convWeightGradOp } from "../../src/ops/_conv.ts";
import type { Conv } from "../../src/ops/_window.ts";
import { conv1d, conv2d, type ConvOptions, convTranspose2d, type ConvTransposeOptions } from "../../src/ops/conv.ts";
import { gelu } from "../../src/ops/activations.ts";
import { cast, multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { inputGradient, type Pair, type Plain, plainOf, putDown, reference, weightGradient } from "../testing/conv.ts";
import { assertClose, randomTensor, testOnEachKind } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder, runOp } from "../testing/run_op.ts";

/** Above it the sums are so large that the differences of the bias drown. */
const edges = { domain: (v: number): number => Math.abs(v) > 100 ? v / 100 : v };

type Shape = readonly [number, number, number, number];
/** Shapes of x and weight and what is not the default. */
const cases: readonly [name: string, x: Shape, weight: Shape, options: Partial<Plain>][] = [
  ["one number", [1, 1, 1, 1], [1, 1, 1, 1], {}],
  ["3 x 3 with an odd size", [2, 3, 5, 7], [5, 3, 3, 3], { padding: [[1, 1], [1, 1]] }],
  ["whole vectors", [1, 2, 4, 8], [8, 2, 3, 3], { padding: [[1, 1], [1, 1]] }],
  ["1 x 1", [3, 6, 3, 3], [2, 6, 1, 1], {}],
  ["a stride above the kernel", [1, 2, 9, 8], [3, 2, 2, 1], { stride: [4, 3] }],
  ["stride and uneven padding", [2, 2, 6, 5], [3, 2, 3, 2], { stride: [2, 3], padding: [[2, 0], [0, 1]] }],
  ["dilation", [1, 2, 8, 9], [2, 2, 3, 2], { dilation: [2, 3], padding: [[1, 2], [3, 0]], stride: [1, 2] }],
  ["groups", [2, 6, 4, 5], [9, 2, 2, 3], { groups: 3, padding: [[0, 1], [1, 1]] }],
  ["depth-wise", [2, 5, 4, 4], [5, 1, 3, 3], { groups: 5, padding: [[1, 1], [1, 1]] }],
  ["depth-wise with a multiplier", [1, 3, 4, 3], [6, 1, 2, 2], { groups: 3 }],
  ["positions in the border alone", [1, 1, 2, 2], [2, 1, 2, 2], { padding: [[4, 3], [3, 5]], stride: [2, 2] }],
  ["a kernel larger than the image", [1, 2, 3, 2], [1, 2, 5, 4], { padding: [[2, 2], [1, 2]] }],
  ["one line", [2, 2, 1, 30], [3, 2, 1, 5], { padding: [[0, 0], [2, 2]], stride: [1, 2] }],
];

testOnEachKind("conv2d() and its gradients are the plain sums", async (device) => {
  for (const [name, x, weight, options] of cases) {
    const plain = plainOf(options);
    const inputs = [randomTensor(x, 1), randomTensor(weight, 2), randomTensor([weight[0]], 3)];
    try {
      await checkOp((a, w, bias) => conv2d(a, w, { ...plain, bias }), inputs, (a, w, bias) => {
        const y = reference(a!, w!, plain), area = y.shape[2]! * y.shape[3]!;
        return y.data.map((v, i) => v + bias!.data[Math.floor(i / area) % weight[0]]!);
      }, { device, edges });
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
    }
  }
});

testOnEachKind("the gradients of conv2d() have the right gradients", async (device) => {
  for (const at of [5, 6, 7]) {
    const [, x, weight, options] = cases[at]!, plain = plainOf(options);
    const square = (a: Tensor, w: Tensor): Tensor => {
      const y = conv2d(a, w, plain);
      return sum(multiply(y, y));
    };
    const doubled = (y: Values): Values => ({ ...y, data: y.data.map((v) => 2 * v) });
    const inputs = [randomTensor(x, 1), randomTensor(weight, 2)],
      check = { device, edges: { domain: (v: number) => Math.sign(v) } };
    await checkOp((a, w) => grad((v: Tensor) => square(v, w))(a), inputs, (a, w) => {
      return inputGradient(doubled(reference(a!, w!, plain)), w!, x, plain);
    }, check);
    await checkOp((a, w) => grad((v: Tensor) => square(a, v))(w), inputs, (a, w) => {
      return weightGradient(a!, doubled(reference(a!, w!, plain)), weight, plain);
    }, check);
  }
});

/** The three kernels by themselves, on one set of sizes. */
async function checkKernels(x: Shape, weight: Shape, plain: Plain, device: Device): Promise<void> {
  const a = randomTensor(x, 1),
    w = randomTensor(weight, 2),
    values = (t: typeof a): Values => ({
      data: Float64Array.from(t.data),
      shape: t.shape,
    });
  const y = reference(values(a), values(w), plain), g = randomTensor(y.shape, 3);
  const conv: Conv = {
    ...{ name: "conv", batch: x[0], inputs: x[1], outputs: weight[0], groups: plain.groups },
    ...{ from: [x[2], x[3]], to: [y.shape[2]!, y.shape[3]!], kernel: [weight[2], weight[3]] },
    ...{ stride: plain.stride, dilation: plain.dilation, padding: [plain.padding[0][0], plain.padding[1][0]] },
  };
  assertClose((await runOp(convOp, [a, w], conv, device))[0]!, y.data);
  assertClose((await runOp(convInputGradOp, [g, w], conv, device))[0]!, inputGradient(values(g), values(w), x, plain));
  const dw = weightGradient(values(a), values(g), weight, plain);
  assertClose((await runOp(convWeightGradOp, [a, g], conv, device))[0]!, dw);
}

/** A convolution of one number with one. */
const point: Conv = {
  ...{ name: "conv", batch: 1, inputs: 1, outputs: 1, groups: 1, from: [1, 1], to: [1, 1], kernel: [1, 1] },
  ...{ stride: [1, 1], padding: [0, 0], dilation: [1, 1] },
};

testOnEachKind("long sums of a convolution are cut into parts", async (device) => {
  await checkKernels([1, 97, 3, 4], [6, 97, 3, 3], plainOf({ padding: [[1, 1], [1, 1]] }), device);
  await checkKernels([3, 2, 23, 20], [4, 1, 2, 3], plainOf({ groups: 2, stride: [1, 2] }), device);
  await checkKernels([1, 1, 1, 70_003], [1, 1, 1, 2], plainOf(), device);
  await checkKernels([1, 13, 1, 1], [1, 13, 1, 1], plainOf(), device);
  const [x, w] = [randomTensor([1, 1, 1, 70_003], 1), randomTensor([1, 1, 1, 70_000], 2)]; // more than a thread may loop
  const sizes = { ...point, from: [1, 70_003], to: [1, 4], kernel: [1, 70_000] } as const;
  const values = [x!, w!].map(({ data, shape }) => ({ data: Float64Array.from(data), shape }));
  const [y] = await runOp(convOp, [x!, w!], sizes, device);
  assertClose(y!, reference(values[0]!, values[1]!, plainOf()).data);
});

testOnEachKind("convolutions of more than a million operations are the plain sums", async (device) => {
  await checkKernels([4, 8, 14, 15], [12, 8, 3, 3], plainOf({ padding: [[1, 1], [1, 1]] }), device);
  await checkKernels([16, 6, 31, 4], [10, 3, 2, 5], plainOf({ groups: 2, padding: [[0, 0], [2, 2]] }), device);
  await checkKernels([2, 9, 40, 24], [20, 9, 3, 1], plainOf({ stride: [2, 1], dilation: [3, 1] }), device);
  await checkKernels([1, 1, 9, 7003], [1, 1, 4, 4], plainOf({ padding: [[3, 0], [0, 3]] }), device);
});

Deno.test("padding is not multiplied by a weight that is not finite in a large convolution either", async () => {
  const plain = plainOf({ padding: [[1, 1], [1, 1]] }), x = randomTensor([16, 4, 9, 10], 1);
  const w = randomTensor([8, 4, 3, 3], 2);
  w.data[3 * 36] = Infinity;
  w.data[5 * 36 + 17] = NaN;
  const y = await toHost(conv2d(tensor(x.data, x.shape), tensor(w.data, w.shape), plain));
  const of = (t: typeof x): Values => ({ data: Float64Array.from(t.data), shape: t.shape });
  const expected = reference(of(x), of(w), plain).data;
  assertEquals([...y].map((v) => Number.isFinite(v) || v), [...expected].map((v) => Number.isFinite(v) || v));
});

testOnEachKind("a convolution runs in more workgroups than one dimension of a dispatch holds", async (device) => {
  const batch = 65_537 * (device.profile.kind === "cpu" ? 16 : 128),
    x = new Float32Array(batch).map((_, i) => i % 1021);
  const w = { data: Float32Array.of(2), shape: [1, 1, 1, 1] };
  const [y] = await runOp(convOp, [{ data: x, shape: [batch, 1, 1, 1] }, w], { ...point, batch }, device);
  assertEquals([y!.length, y!.findIndex((v, i) => v !== 2 * x[i]!)], [batch, -1]);
});

Deno.test("padding of conv2d() may be a number, same or valid", async () => {
  const x = randomTensor([1, 2, 7, 6], 1), w = randomTensor([3, 2, 4, 3], 2);
  const table: readonly [ConvOptions, Partial<Plain>][] = [
    [{ padding: 2 }, { padding: [[2, 2], [2, 2]] }],
    [{ padding: "valid", stride: 2 }, { stride: [2, 2] }],
    [{ padding: "same" }, { padding: [[1, 2], [1, 1]] }],
    [{ padding: "same", dilation: 2 }, { padding: [[3, 3], [2, 2]], dilation: [2, 2] }],
    [{ padding: "same", stride: [3, 4] }, { padding: [[1, 2], [0, 1]], stride: [3, 4] }],
    [{ padding: "same", stride: 5 }, { padding: [[1, 1], [1, 1]], stride: [5, 5] }],
  ];
  for (const [options, plain] of table) {
    const y = conv2d(tensor(x.data, x.shape), tensor(w.data, w.shape), options);
    const values = [x, w].map(({ data, shape }) => ({ data: Float64Array.from(data), shape }));
    const expected = reference(values[0]!, values[1]!, plainOf(plain));
    assertEquals(y.shape, expected.shape);
    assertClose(await toHost(y), expected.data);
  }
});

testOnEachKind("conv1d() is conv2d() of one line", async (device) => {
  const x = randomTensor([2, 4, 11], 1), w = randomTensor([6, 2, 3], 2), b = randomTensor([6], 3);
  const plain = plainOf({ groups: 2, stride: [1, 2], dilation: [1, 2], padding: [[0, 0], [1, 3]] });
  const options = { groups: 2, stride: 2, dilation: 2, padding: [1, 3] } as const;
  await checkOp((a, v, bias) => conv1d(a, v, { ...options, bias }), [x, w, b], (a, v, bias) => {
    const line = ({ data, shape: [n, c, l] }: Values): Values => ({ data, shape: [n!, c!, 1, l!] });
    const y = reference(line(a!), line(v!), plain);
    return y.data.map((e, i) => e + bias!.data[Math.floor(i / y.shape[3]!) % 6]!);
  }, { device, edges });
  for (const [padding, length] of [[0, 9], [2, 13], ["same", 11], ["valid", 9]] as const) {
    assertEquals(conv1d(placeholder([1, 4, 11]), placeholder([2, 4, 3]), { padding }).shape, [1, 2, length]);
  }
});

testOnEachKind("convTranspose2d() puts the weight down at every element", async (device) => {
  const table: readonly [Shape, Shape, Partial<Plain>, Pair][] = [
    [[2, 3, 3, 4], [3, 2, 3, 3], {}, [0, 0]],
    [[1, 4, 3, 2], [4, 3, 2, 2], { stride: [2, 2], groups: 2 }, [0, 0]],
    [[1, 2, 4, 3], [2, 5, 3, 4], { stride: [2, 3], padding: [[1, 0], [2, 1]] }, [1, 2]],
    [[1, 2, 2, 3], [2, 1, 2, 3], { stride: [3, 1], dilation: [2, 3], groups: 2 }, [2, 2]],
  ];
  for (const [x, weight, options, outputPadding] of table) {
    const plain = plainOf(options), { stride, padding, dilation, groups } = plain;
    const length = (i: 0 | 1): number =>
      (x[2 + i]! - 1) * stride[i] - padding[i][0] - padding[i][1] + dilation[i] * (weight[2 + i]! - 1) + 1 +
      outputPadding[i];
    const shape = [x[0], weight[1] * groups, length(0), length(1)];
    const inputs = [randomTensor(x, 1), randomTensor(weight, 2), randomTensor([shape[1]!], 3)];
    const all: ConvTransposeOptions = { ...plain, outputPadding };
    assertEquals(convTranspose2d(placeholder(x), placeholder(weight), all).shape, shape);
    await checkOp((a, w, bias) => convTranspose2d(a, w, { ...all, bias }), inputs, (a, w, bias) => {
      const area = length(0) * length(1);
      return putDown(a!, w!, shape, plain).map((v, i) => v + bias!.data[Math.floor(i / area) % shape[1]!]!);
    }, { device, edges });
  }
});

Deno.test("element-wise ops join the kernel of the convolution before them", async () => {
  const x = randomTensor([1, 2, 5, 8], 1), w = randomTensor([4, 2, 3, 3], 2);
  const layer = compile((a: Tensor, v: Tensor, bias: Tensor) => gelu(conv2d(a, v, { padding: 1, bias })));
  const y = await layer(tensor(x.data, x.shape), tensor(w.data, w.shape), tensor([1, 2, 3, 4]));
  const apart = conv2d(tensor(x.data, x.shape), tensor(w.data, w.shape), { padding: 1 });
  const host = await toHost(apart);
  const biased = tensor(Float32Array.from(host, (v, i) => v + 1 + Math.floor(i / 40)), apart.shape);
  assertClose(await toHost(y), Array.from(await toHost(gelu(biased))));
  layer.destroy();
});

Deno.test("conv2d() takes f16 as f32, and NaN goes where it is read", async () => {
  const x = tensor([1, 2, NaN, 4, 5, 6], [1, 1, 1, 6]), w = tensor([1, -1], [1, 1, 1, 2]);
  assertEquals([...await toHost(conv2d(x, w, { padding: [[0, 0], [1, 0]] }))], [-1, -1, NaN, NaN, -1, -1]);
  assertEquals(conv2d(cast(placeholder([1, 1, 4, 4]), "f16"), placeholder([1, 1, 2, 2])).toString(), "f32[1,1,3,3]");
  const ones = tensor([1, 1, 1, 1, 1, 1], [1, 1, 1, 6]), odd = tensor([NaN, Infinity], [1, 1, 1, 2]);
  assertEquals([...await toHost(conv2d(ones, odd))], Array(5).fill(NaN));
  const around = await toHost(conv2d(ones, odd, { padding: [[0, 0], [1, 1]] })); // padding is not multiplied
  assertEquals([...around], [Infinity, ...Array(5).fill(NaN), NaN]);
  const apart = await toHost(convTranspose2d(ones, odd, { stride: [1, 3] }));
  assertEquals([...apart].slice(0, 6), [NaN, Infinity, 0, NaN, Infinity, 0]);
});

Deno.test("specs of convolutions are what the functions take, and start as in PyTorch", () => {
  const x = placeholder([2, 4, 6, 5]), line = placeholder([2, 4, 6]);
  const two = initialize(conv2dSpec(4, 6, [3, 2], 2), 1), one = initialize(conv1dSpec(4, 6, 3), 1);
  const back = initialize(convTranspose2dSpec(4, 6, 2, 2), 1);
  assertEquals(conv2d(x, two.weight, { bias: two.bias, groups: 2 }).shape, [2, 6, 4, 4]);
  assertEquals(conv1d(line, one.weight, { bias: one.bias }).shape, [2, 6, 4]);
  assertEquals(convTranspose2d(x, back.weight, { bias: back.bias, groups: 2 }).shape, [2, 6, 7, 6]);
  for (
    const [spec, n] of [[conv2dSpec(8, 4, 3, 2), 36], [conv1dSpec(5, 4, 3), 15], [
      convTranspose2dSpec(4, 8, 3, 2),
      36,
    ]] as const
  ) {
    assertEquals([spec.weight.init, spec.bias.init], Array(2).fill({ uniform: 1 / Math.sqrt(n) }));
  }
});

Deno.test("convolutions refuse what does not fit", async () => {
  const x = placeholder([2, 4, 6, 5]), w = placeholder([8, 4, 3, 3]);
  await assertRefused(
    [() => conv2d(placeholder([4, 6, 5]), w), "the input must be (f32 or f16)[batch,inputs,height,width]"],
    [() => conv2d(placeholder([2, 4, 6, 5], "i32"), w), "the input must be (f32 or f16)", TypeError],
    [() => conv2d(x, placeholder([8, 3, 3, 3])), "weight must be [outputs,4,kh,kw]: it is f32[8,3,3,3]"],
    [() => conv2d(x, w, { groups: 3 }), "groups must divide the 4 and 8 channels: there are 3"],
    [() => conv2d(x, w, { stride: 0 }), "stride must hold integers from 1 on: it is 0"],
    [() => conv2d(x, w, { dilation: [1, 0.5] }), "dilation must hold integers from 1 on: it is 1,0.5"],
    [() => conv2d(x, w, { padding: -1 }), "padding must hold integers from 0 on: it is -1"],
    [() => conv2d(x, w, { dilation: 3 }), "the window must fit into the padded image: it spans 7 of 6 lines"],
    [() => conv2d(x, w, { bias: placeholder([4]) }), "bias must be (f32 or f16)[8]: it is f32[4]"],
    [() => conv1d(x, placeholder([8, 4, 3])), "Cannot apply conv1d: the input must be"],
    [() => conv1d(placeholder([1, 4, 2]), placeholder([8, 4, 3])), "it spans 3 of 2 columns"],
    [() => conv2dSpec(4, 6, 3, 4), "groups must divide the 6 and 4 channels: there are 4"],
    [() => convTranspose2d(x, w), "Cannot apply convTranspose2d: weight must be [4,outputs / groups,kh,kw]"],
    [() => convTranspose2d(x, placeholder([4, 2, 3, 3]), { outputPadding: 1 }), "outputPadding must be less than"],
    [
      () => convTranspose2d(x, placeholder([4, 2, 1, 1]), { padding: 3 }),
      "must leave at least 1 of 6 lines: it is [3,3]",
    ],
    [() => convTranspose2d(x, placeholder([4, 2, 1, 1]), { groups: 3 }), "groups must divide the 4 channels"],
  );
});
