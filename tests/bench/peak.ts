/** What the adapter can do at most: fused multiply-adds on registers, and copies of memory. */
import { defaultDevice, type Device } from "../../src/gpu/device.ts";
import { foldWorkgroups } from "../../src/program/program.ts";
import { measure, round } from "./measure.ts";

/** Measured limits of an adapter. */
export interface Peak {
  readonly adapter: string;
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
}

const ROUNDS = 1024, ACCUMULATORS = 16, UNROLLED = 4;

const times = (count: number, text: (i: number) => string, between = "\n"): string =>
  Array.from({ length: count }, (_, i) => text(i)).join(between);

/** Independent chains of multiply-adds whose result is stored, so that none can be left out. */
const arithmetic = `
@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let x = values[id.x];
  let y = x * 0.5 + 0.25;
${times(ACCUMULATORS, (i) => `  var a${i} = x + ${i}.0;`)}
  for (var r = 0u; r < ${ROUNDS}u; r++) {
${times(ACCUMULATORS * UNROLLED, (i) => `    a${i % ACCUMULATORS} = fma(a${i % ACCUMULATORS}, x, y);`)}
  }
  values[id.x] = ${times(ACCUMULATORS, (i) => `a${i}`, " + ")};
}`;

const copying = `
@group(0) @binding(0) var<storage, read_write> copied: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> source: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>) {
  let i = id.x + id.y * n.x * 64u;
  if (i < arrayLength(&copied)) { copied[i] = source[i]; }
}`;

/** Milliseconds of the best of several runs of one kernel over `buffers`. */
async function best(device: Device, code: string, buffers: readonly GPUBuffer[], workgroups: number): Promise<number> {
  const { gpu } = device;
  const pipeline = gpu.createComputePipeline({
    layout: "auto",
    compute: { module: gpu.createShaderModule({ code }), entryPoint: "main" },
  });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const submit = async (runs: number): Promise<void> => {
    const encoder = gpu.createCommandEncoder(), pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < runs; i++) pass.dispatchWorkgroups(...foldWorkgroups(workgroups));
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    await gpu.queue.onSubmittedWorkDone();
  };
  const few = await measure(() => submit(1)), many = await measure(() => submit(9));
  device.check();
  return (many.best - few.best) / 8; // the wait costs milliseconds of its own
}

/** Measures the default adapter. */
export async function measurePeak(): Promise<Peak> {
  const device = await defaultDevice(), cpu = device.profile.kind === "cpu";
  const threads = 64 * (cpu ? 64 : 16384), bytes = cpu ? 2 ** 26 : 2 ** 28;
  const make = (size: number): Promise<GPUBuffer> => device.createBuffer(size, GPUBufferUsage.STORAGE, "the peak");
  const flop = 2 * ACCUMULATORS * UNROLLED * ROUNDS * threads;
  const compute = await best(device, arithmetic, [await make(4 * threads)], threads / 64);
  const copy = await best(device, copying, [await make(bytes), await make(bytes)], bytes / 16 / 64);
  const { adapter } = device;
  return { adapter, gflops: round(flop / compute / 1e6, 1), gigabytesPerSecond: round(2 * bytes / copy / 1e6, 1) };
}

const FILE = new URL("results/peak.json", import.meta.url);

async function known(): Promise<Peak[]> {
  try {
    return JSON.parse(await Deno.readTextFile(FILE));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** The peak of an adapter that `bench.ts peak` has measured here before. */
export async function knownPeak(adapter: string): Promise<Peak | undefined> {
  return (await known()).find((p) => p.adapter === adapter);
}

/** Keeps a measured peak. A busy machine shows too little, so the most that was ever seen of an adapter stays. */
export async function keepPeak(peak: Peak): Promise<void> {
  const peaks = await known(), before = peaks.find((p) => p.adapter === peak.adapter);
  const most = (of: "gflops" | "gigabytesPerSecond"): number => Math.max(peak[of], before?.[of] ?? 0);
  const best = { ...peak, gflops: most("gflops"), gigabytesPerSecond: most("gigabytesPerSecond") };
  const text = JSON.stringify([...peaks.filter((p) => p !== before), best], null, 2);
  await Deno.mkdir(new URL(".", FILE), { recursive: true });
  await Deno.writeTextFile(FILE, text + "\n");
}
