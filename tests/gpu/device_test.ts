import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Device, openDevice } from "../../src/gpu/device.ts";
import { DeviceLostError, formatBytes, KernelError, OutOfMemoryError } from "../../src/gpu/errors.ts";
import { BufferUsage, MAP_MODE_READ } from "../../src/gpu/usage.ts";
import { add } from "../../src/ops/elementwise.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import { apply, type Op, type Tensor } from "../../src/program/graph.ts";

/** An op whose kernel is `code` and which asks for `workgroups`. */
function opOf(code: string, workgroups = 1): (x: Tensor) => Tensor {
  const op: Op<null> = {
    name: "broken",
    infer: ([x]) => [x!],
    lower: (ctx) =>
      ctx.dispatch({ name: "broken/variant", code, bindings: [ctx.inputs[0]!, ctx.outputs[0]!], workgroups }),
  };
  return (x) => apply(op, [x], null);
}

const bindings = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
`;

Deno.test("a kernel that does not compile is named with the compiler's message and its line", async () => {
  const f = compile(opOf(`${bindings}@compute @workgroup_size(1) fn main() {
  y[0] = nonsense(x[0]);
}`));
  const error = await assertRejects(() => f(tensor([1, 2])), KernelError);
  assertMatch(error.message, /Cannot compile the kernel "broken\/variant": line 4: .*nonsense/s);
  assert(error.message.endsWith("y[0] = nonsense(x[0]);"), error.message);
});

Deno.test("a kernel whose bindings do not fit is named", async () => {
  const f = compile(opOf(`@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main() { y[0] = 1.0; }`));
  await assertRejects(() => f(tensor([1])), KernelError, `Cannot build the pipeline of the kernel "broken/variant"`);
});

Deno.test("a refused dispatch is named with its size and its values", async () => {
  const code = `${bindings}@compute @workgroup_size(1) fn main() { y[0] = x[0]; }`;
  const f = compile(opOf(code, 65535 * 65536 + 1));
  const error = await assertRejects(() => f(tensor([1, 2, 3])), KernelError);
  assertMatch(
    error.message,
    /Cannot run the kernel "broken\/variant" \(4294901761 workgroups over .*f32\[3\] \(12 B\)/,
  );
});

Deno.test("the device works on after an error", async () => {
  await assertRejects(() => compile(opOf("fn main("))(tensor([1])), KernelError);
  assertEquals([...await toHost(add(tensor([1]), 1))], [2]);
});

Deno.test("a buffer beyond the adapter's limit is refused with its size, its purpose and what to lower", async () => {
  const device = await openDevice(), limit = device.gpu.limits.maxBufferSize;
  const error = await assertRejects(
    () => device.createBuffer(limit + 4, 0x80, "the queue of features"),
    OutOfMemoryError,
  );
  assertMatch(
    error.message,
    /^Cannot allocate .* for the queue of features: one buffer of ".*" holds at most .*; lower the batch size/,
  );
  assertEquals(device.memory, { bytes: 0, peak: 0, buffers: 0 });
});

Deno.test("memory that runs out is reported with what was asked for and what is in use", async () => {
  const gpu = {
    lost: new Promise(() => {}),
    limits: { maxBufferSize: 2 ** 31 },
    addEventListener() {},
    pushErrorScope() {},
    createBuffer: ({ size }: { size: number }) => ({ size }),
    popErrorScope: () => Promise.resolve(full ? { message: "Not enough memory left" } : null),
  };
  const device = new Device(gpu as unknown as GPUDevice, "small adapter", (await openDevice()).profile);
  let full = false;
  await device.createBuffer(3 * 2 ** 20, 0x80, "parameters");
  full = true;
  const error = await assertRejects(
    () => device.createBuffer(2 ** 30, 0x80, "a result f32[268435456]"),
    OutOfMemoryError,
  );
  assertEquals(
    error.message,
    `Cannot allocate 1.00 GiB for a result f32[268435456]: 3.00 MiB are in use on "small adapter" (Not enough memory left); ` +
      "lower the batch size, the resolution or the queue, or use checkpoint()",
  );
});

Deno.test("a lost device is reported by the calls that follow, and nothing hangs", async () => {
  const device = await openDevice();
  const f = compile((x: Tensor) => add(x, 1), { device });
  const y = await f(tensor([1, 2]));
  device.gpu.destroy();
  await assertRejects(() => toHost(y), DeviceLostError, `the device was lost`);
  await assertRejects(() => f(tensor([1, 2])), DeviceLostError, "start again from the last checkpoint");
  await assertRejects(() => compile((x: Tensor) => add(x, 9), { device })(tensor([1])), DeviceLostError);
});

Deno.test("a command that fails outside of any program is reported by the next call", async () => {
  const device = await openDevice();
  const buffer = await device.createBuffer(16, 0x08, "a test");
  const encoder = device.gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, buffer, 4, 64);
  device.gpu.queue.submit([encoder.finish()]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertThrows(() => device.check(), KernelError, "The GPU refused a command");
  device.check();
});

Deno.test("openDevice() takes the adapter's limits and says which adapters there are", async () => {
  const device = await openDevice({ kind: "gpu" });
  assertEquals(device.profile.kind, "gpu");
  const adapter = await navigator.gpu.requestAdapter();
  assertEquals(device.gpu.limits.maxBufferSize, adapter!.limits.maxBufferSize);
  assertEquals(device.profile.maxBindingBytes, adapter!.limits.maxStorageBufferBindingSize);
  await assertRejects(
    () => openDevice({ adapter: "fastest" }),
    RangeError,
    `Cannot open the adapter "fastest": it must be one of high-performance, low-power, software`,
  );
});

Deno.test("kernels of equal text are compiled once, and memory is counted", async () => {
  const device = await openDevice();
  const f = compile((x: Tensor) => add(x, 1), { device });
  await f(tensor([1, 2]));
  await f(tensor(new Float32Array(1000)));
  assertEquals(device.compiledKernels, 2); // one for vectors of four, one for scalars
  const { bytes, peak, buffers } = device.memory;
  assert(bytes > 4000 && peak >= bytes && buffers > 0);
});

Deno.test("formatBytes() keeps three digits", () => {
  assertEquals([480, 1536, 12 * 2 ** 20, 1.5 * 2 ** 30].map(formatBytes), [
    "480 B",
    "1.50 KiB",
    "12.0 MiB",
    "1.50 GiB",
  ]);
});

Deno.test("the usage bits are those of WebGPU", () => {
  for (const [name, bit] of Object.entries(BufferUsage)) {
    assertEquals(bit, GPUBufferUsage[name as keyof typeof BufferUsage], name);
  }
  assertEquals(MAP_MODE_READ, GPUMapMode.READ);
});
