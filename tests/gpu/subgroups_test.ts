import { assert } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { defaultDevice, Device, openDevice } from "../../src/gpu/device.ts";
import { attention } from "../../src/ops/attention.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder } from "../../src/program/program.ts";
import { testWhere } from "../testing/where.ts";

/** The adapter at hand as if it were a CPU with subgroups of 8, whose kernels are compiled and not run. */
async function likeLlvmpipe(): Promise<Device> {
  const { gpu, adapter, profile, enableSubgroups } = await openDevice();
  return new Device(gpu, adapter, { ...profile, kind: "cpu", subgroupSize: 8 }, enableSubgroups);
}

const { subgroups } = (await defaultDevice()).profile;

const f32 = (...shape: number[]): Tensor => placeholder({ shape, dtype: "f32" });

testWhere(subgroups, "the adapter has no subgroups", "kernels that share loads in a subgroup compile", async () => {
  const device = await likeLlvmpipe();
  const products = (a: Tensor, b: Tensor) => [
    matmul(a, b),
    matmul(a, b, { transposeA: true }),
    matmul(a, b, { transposeB: true }),
  ];
  const attend = (q: Tensor, mask: Tensor) =>
    valueAndGrad((x: Tensor) => sum(attention(x, x, x, { heads: 2, mask })))(q);
  const programs = [
    await compile(products, { device }).program(f32(256, 256), f32(256, 256)),
    await compile(attend, { device }).program(f32(2, 32, 64), f32(2, 32)),
  ];
  for (const program of programs) {
    assert(program.plan.steps.some(({ code }) => code.includes("subgroupBroadcast(")), program.toString());
    await program.build();
    program.destroy();
  }
  device.close();
});
