import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { defaultDevice, type Device, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { attention } from "../../src/ops/attention.ts";
import { add, equal, exp, multiply, subtract } from "../../src/ops/mod.ts";
import { sum } from "../../src/ops/reduce.ts";
import { reshape } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import { apply, type Op, type Tensor } from "../../src/program/graph.ts";
import type { Program } from "../../src/program/program.ts";
import { configs } from "../../src/models/config.ts";
import { BenchStep } from "../bench/step.ts";
import { randomTensor } from "../testing/reference.ts";

const random = (shape: number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape);

/** The most storage buffers that a kernel of a program binds. */
function mostBuffers({ plan }: Program): number {
  return Math.max(...plan.steps.map((s) => s.bindings.filter((b) => !("words" in b)).length));
}

Deno.test('openDevice({ limits: "guaranteed" }) has the limits that WebGPU guarantees, and no more', async () => {
  const device = await openDevice({ limits: "guaranteed" }), { limits } = device.gpu;
  assertEquals({
    buffers: limits.maxStorageBuffersPerShaderStage,
    workgroup: limits.maxComputeWorkgroupStorageSize,
    threads: limits.maxComputeInvocationsPerWorkgroup,
    workgroups: limits.maxComputeWorkgroupsPerDimension,
    binding: limits.maxStorageBufferBindingSize,
    buffer: limits.maxBufferSize,
  }, { buffers: 8, workgroup: 16384, threads: 256, workgroups: 65535, binding: 2 ** 27, buffer: 2 ** 28 });
  assertEquals(device.profile.maxStorageBuffers, 8);
  device.close();
  await assertRejects(
    () => openDevice({ limits: "most" as "adapter" }),
    RangeError,
    'Cannot open a device with the limits "most": it must be one of adapter, guaranteed',
  );
});

for (const kind of ["cpu", "gpu"] as const) {
  Deno.test(`attention() with mask and dropout has the same gradients in 8 storage buffers (${kind})`, async () => {
    const inputs = { q: random([2, 19, 16], 1), k: random([2, 21, 16], 2), v: random([2, 21, 16], 3) };
    const mask = random([2, 21], 4), key = tensor(Uint32Array.of(5, 6));
    const gradients = async (device: Device): Promise<[Float32Array[], number]> => {
      const f = compile((x: typeof inputs, mask: Tensor, key: Tensor) =>
        grad(({ q, k, v }: typeof inputs) => {
          const out = attention(q, k, v, { heads: 2, mask, dropout: { probability: 0.3, key, stream: 1 } });
          return sum(multiply(out, q));
        })(x), { device });
      const { q, k, v } = await f(inputs, mask, key), most = mostBuffers(await f.program(inputs, mask, key));
      const values = await toHost([q, k, v]) as Float32Array[];
      device.close();
      return [values, most];
    };
    const [whole, more] = await gradients(await openDevice({ kind }));
    const [packed, most] = await gradients(await openDevice({ kind, limits: "guaranteed" }));
    assert(more > 8 && most <= 8, `${more} and ${most}`);
    assertEquals(packed, whole);
  });
}

Deno.test("chains of element-wise ops are cut where they would bind more than 8 storage buffers", async () => {
  const device = await openDevice({ limits: "guaranteed" });
  const inputs = Array.from({ length: 12 }, (_, i) => random([3, 8], i));
  const f = compile((...xs: Tensor[]) => xs.reduce((all, x) => add(multiply(all, x), exp(x))), { device });
  const [got] = await toHost([await f(...inputs)]), program = await f.program(...inputs);
  const [expected] = await toHost([
    await compile((...xs: Tensor[]) => xs.reduce((a, x) => add(multiply(a, x), exp(x))))(...inputs),
  ]);
  assertEquals(got, expected);
  assert(mostBuffers(program) <= 8 && program.plan.steps.length > 1, program.toString());
  device.close();
});

Deno.test("a value that a chain reads along rows and across them counts as two buffers", async () => {
  const device = await openDevice({ limits: "guaranteed" }), ids = random([8], 1);
  const same = (ids: Tensor, x: Tensor[]): Tensor => {
    const alike = equal(reshape(ids, [8, 1]), reshape(ids, [1, 8]));
    return x.reduce((all, y) => subtract(all, y), alike as Tensor);
  };
  const x = Array.from({ length: 9 }, (_, i) => random([8, 8], i)), f = compile(same, { device });
  assertEquals(await toHost(await f(ids, x)), await toHost(await compile(same)(ids, x)));
  assert(mostBuffers(await f.program(ids, x)) <= 8);
  device.close();
});

Deno.test("a kernel that needs more buffers than the adapter binds is named with both numbers", async () => {
  const device = await openDevice({ limits: "guaranteed" });
  const op: Op<null> = {
    name: "greedy",
    infer: ([x]) => [x!],
    lower: (ctx) =>
      ctx.dispatch({
        name: "greedy",
        code: "",
        bindings: [...ctx.inputs, ...Array.from({ length: 7 }, () => ctx.scratch(4)), ctx.outputs[0]!],
        workgroups: 1,
      }),
  };
  const f = compile((x: Tensor) => apply(op, [x], null), { device });
  const error = await assertRejects(() => f(tensor([1])), UnsupportedError);
  assertMatch(error.message, /^Cannot run the kernel "greedy": it must bind at most 8 storage buffers, .* it binds 9$/);
  device.close();
});

Deno.test("a step of the tiny model binds at most 8 buffers of at most 128 MiB, with the kernels of either kind of adapter", async () => {
  const before = await defaultDevice();
  for (const kind of ["cpu", "gpu"] as const) {
    const device = await openDevice({ kind, limits: "guaranteed" });
    setDefaultDevice(device);
    for (const program of await (await BenchStep.create(configs.tiny, 32)).programs()) {
      assert(mostBuffers(program) <= 8);
      const bytes = program.plan.steps.flatMap((s) => s.bindings.map((b) => "words" in b ? 0 : b.bytes));
      assert(Math.max(...bytes) <= 2 ** 27);
    }
    device.close();
  }
  setDefaultDevice(before);
});
