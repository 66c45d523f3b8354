import { assert, assertEquals, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { type Device, openDevice } from "../../src/gpu/device.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { avoidable, avoids } from "../../src/gpu/kernel_choices.ts";
import { areSegments } from "../../src/ops/_conv_rows.ts";
import { rowKernel } from "../../src/ops/_rows.ts";
import { attention } from "../../src/ops/attention.ts";
import { attentionPlan } from "../../src/ops/attention_kernel.ts";
import { chooseMatmul, matmulName, matmulVariants } from "../../src/ops/matmul_variants.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose, eachRow, randomTensor, softmax as plainSoftmax } from "../testing/reference.ts";

/** A device of a kind that avoids kernels. */
async function avoiding(kind: "cpu" | "gpu", ...avoid: string[]): Promise<Device> {
  const device = await openDevice({ kind, cache: "off" });
  device.choose({ avoid, products: {} });
  return device;
}

Deno.test("choose() takes subgroups and f16 from a device, and gives them back", async () => {
  const device = await openDevice({ cache: "off" }), before = device.profile;
  device.choose({ avoid: [avoidable.subgroups, avoidable.f16], products: {} });
  assertEquals([device.profile.subgroups, device.profile.f16], [false, false]);
  assert(avoids(device.profile, "f16") && !avoids(device.profile, "sorting"));
  device.choose({ avoid: [], products: {} });
  assertEquals({ ...device.profile, choices: undefined }, { ...before, choices: undefined });
});

Deno.test("products avoid a tile, then all tiles for the plain kernel, whose inner axis is not cut", async () => {
  for (const kind of ["cpu", "gpu"] as const) {
    const { profile } = await avoiding(kind), tiles = matmulVariants(profile);
    const sizes = { m: 512, n: 512, k: 4096, batch: 1 }, usual = chooseMatmul(profile, sizes).variant;
    const { profile: without } = await avoiding(kind, matmulName(usual));
    assert(chooseMatmul(without, sizes).variant !== usual);
    assertEquals(matmulVariants(without).length, tiles.length - 1);
    const { profile: none } = await avoiding(kind, ...tiles.map(matmulName));
    const { variant, splits } = chooseMatmul(none, sizes);
    assertEquals([variant.name, splits], ["plain", 1]);
    const tuned = {
      ...none,
      choices: { ...none.choices!, products: { "512x512x4096": { variant: usual.name, splits: 1 } } },
    };
    assertEquals(chooseMatmul(tuned, sizes).variant.name, "plain", "a measured tile is avoided too");
  }
});

Deno.test("attention, rows and convolutions that share are replaced by those that do not", async () => {
  const { profile: gpu } = await avoiding("gpu"), { profile: alone } = await avoiding("gpu", avoidable.attention);
  assertEquals([attentionPlan(gpu, 32, 65).SHARED, attentionPlan(alone, 32, 65).SHARED], [true, false]);
  const lanes = { ...gpu, kind: "cpu", subgroups: true, subgroupSize: 8 } as const;
  const choices = { avoid: [avoidable.attention, avoidable.segments, avoidable.rows], products: {} };
  assertEquals(attentionPlan(lanes, 32, 65).EXCHANGE, true);
  assertEquals(attentionPlan({ ...lanes, choices }, 32, 65).EXCHANGE, false);
  const pair = [1, 1] as const,
    conv = { stride: pair, dilation: pair, kernel: [3, 3], inputs: 8, outputs: 8, groups: 1 };
  assertEquals(areSegments(lanes, conv as never, false, 1e9), true);
  assertEquals(areSegments({ ...lanes, choices }, conv as never, false, 1e9), false);
  const long = { length: 1e6, device: { ...lanes, choices } };
  assertThrows(() => rowKernel("sum", "", long), UnsupportedError, 'gave wrong values ("deno task doctor")');
});

Deno.test("what takes the place of avoided kernels gives right values and gradients on a gpu adapter", async () => {
  const device = await avoiding("gpu", avoidable.attention, avoidable.rows), usual = await avoiding("gpu");
  const x = randomTensor([4, 1040], 1, 4), given = tensor(x.data, x.shape);
  const rows = compile((x: Tensor) => softmax(x), { device });
  assertClose(await toHost(await rows(given)), eachRow(x.data, 1040, plainSoftmax));
  const shared = (text: string): boolean => /workgroupBarrier/.test(text);
  const q = tensor(randomTensor([2, 19, 32], 2).data, [2, 19, 32]);
  const loss = (q: Tensor): Tensor => sum(multiply(attention(q, q, q, { heads: 2 }), q));
  const results = [];
  for (const on of [device, usual]) {
    const attend = compile((q: Tensor) => valueAndGrad(loss)(q), { device: on }), program = await attend.program(q);
    const kernels = program.plan.steps.filter(({ name }) => /^attention/.test(name) && !/pack/.test(name));
    assertEquals(kernels.map(({ code }) => shared(code)), kernels.map(() => on === usual));
    const [value, grad] = await attend(q);
    results.push([...await toHost(value), ...await toHost(grad)]);
  }
  assertClose(results[0]!, results[1]!);
});
