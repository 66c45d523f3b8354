/**
 * Speed of attention, forward and backward, in the sizes of the models: `deno run -A tests/bench/attention_sweep.ts`.
 * Prints the time of the first run (compilation), the median and the best time, GFLOP/s at the best (recomputation not counted:
 * 4 and 10 B H Tq Tk width), and the bytes of all buffers, which grow linearly with Tq and Tk.
 */
import { defaultDevice, type Device } from "../../src/gpu/device.ts";
import { byteLength, Node, type Op } from "../../src/program/graph.ts";
import type { BufferRef, Dispatch, Lowering, Uniform } from "../../src/program/lowering.ts";
import { attentionOp } from "../../src/ops/attention.ts";
import { attentionGradOp } from "../../src/ops/attention_grad.ts";
import type { AttentionAttrs } from "../../src/ops/attention_kernel.ts";
import { fold, placeholder } from "../testing/run_op.ts";

/** The dispatches of one op over random inputs, to be run many times. */
class Bench {
  readonly buffers: GPUBuffer[] = [];
  readonly dispatches: Dispatch[] = [];

  constructor(readonly device: Device) {}

  async build(op: Op<AttentionAttrs>, shapes: readonly (readonly number[])[], attrs: AttentionAttrs): Promise<this> {
    const inputs = shapes.map((shape) => placeholder(shape, shape.length === 1 ? "u32" : "f32"));
    const node = new Node(op, inputs, attrs);
    const refs = [...inputs, ...node.avals].map((aval) => this.#value(byteLength(aval)));
    const lowering: Lowering = {
      device: this.device.profile,
      inputs: refs.slice(0, inputs.length),
      outputs: refs.slice(inputs.length),
      scratch: (bytes) => this.#value(bytes),
      emit: () => {
        throw new Error("Attention writes its results itself");
      },
      dispatch: (d) => this.dispatches.push(d),
    };
    op.lower!(lowering, node);
    await this.#prepare();
    return this;
  }

  get bytes(): number {
    return this.buffers.reduce((sum, b) => sum + b.size, 0);
  }

  #steps: { pipeline: GPUComputePipeline; group: GPUBindGroup; workgroups: [number, number] }[] = [];

  async #prepare(): Promise<void> {
    for (const d of this.dispatches) {
      const pipeline = await this.device.pipeline(d);
      const entries = d.bindings.map((b, binding) => ({ binding, resource: this.#resource(b) }));
      const layout = pipeline.getBindGroupLayout(0);
      this.#steps.push({
        pipeline,
        group: this.device.gpu.createBindGroup({ layout, entries }),
        workgroups: fold(d.workgroups),
      });
    }
  }

  /** Milliseconds of `runs` runs submitted at once. */
  async run(runs: number): Promise<number> {
    const { gpu } = this.device;
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < runs; i++) {
      for (const { pipeline, group, workgroups } of this.#steps) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...workgroups);
      }
    }
    pass.end();
    const start = performance.now();
    gpu.queue.submit([encoder.finish()]);
    await gpu.queue.onSubmittedWorkDone();
    return performance.now() - start;
  }

  close(): void {
    for (const b of this.buffers) b.destroy();
  }

  #value(bytes: number): BufferRef {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    const buffer = this.device.gpu.createBuffer({ size: bytes, usage });
    const data = Float32Array.from({ length: buffer.size / 4 }, (_, i) => Math.sin(i * 1.7 + this.buffers.length));
    this.device.gpu.queue.writeBuffer(buffer, 0, data);
    this.buffers.push(buffer);
    return { value: this.buffers.length - 1, offset: 0, bytes, dtype: "f32" };
  }

  #resource(b: BufferRef | Uniform): GPUBufferBinding {
    if (!("words" in b)) return { buffer: this.buffers[b.value]! };
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const buffer = this.device.gpu.createBuffer({ size: Math.ceil(b.words.length / 4) * 16, usage });
    this.device.gpu.queue.writeBuffer(buffer, 0, Uint32Array.from(b.words));
    return { buffer };
  }
}

async function measure(bench: Bench, flop: number): Promise<string> {
  const first = await bench.run(1);
  // A wait for the device takes 11 ms by itself, so many runs share one.
  const once = Math.max(0.05, (await bench.run(6) - await bench.run(1)) / 5);
  const runs = Math.max(1, Math.round(400 / once));
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await bench.run(runs) / runs);
  const [best, , median] = times.sort((a, b) => a - b) as [number, number, number];
  const megabytes = bench.bytes / 2 ** 20;
  const name = bench.dispatches.map((d) => d.name).join(", ");
  bench.close();
  return `${median.toFixed(3).padStart(9)} ms, best ${best.toFixed(3)} ms ${
    (flop / best / 1e6).toFixed(1).padStart(7)
  } GFLOP/s ` +
    `${megabytes.toFixed(2).padStart(7)} MiB   first run ${first.toFixed(0).padStart(5)} ms   ${name}`;
}

async function sweep(b: number, tq: number, tk: number, d: number, heads: number, dropout: number): Promise<void> {
  const device = await defaultDevice();
  const attrs: AttentionAttrs = {
    heads,
    scale: Math.sqrt(heads / d),
    causal: false,
    masked: false,
    ...(dropout ? { dropout: { probability: dropout, stream: 1 } } : {}),
  };
  const inputs = [[b, tq, d], [b, tk, d], [b, tk, d], ...(dropout ? [[2]] : [])];
  const results = [[b, tq, d], [b, heads, tq, 2], [b, tq, d]];
  const pairs = b * tq * tk * d;
  const forward = await new Bench(device).build(attentionOp, inputs, attrs);
  console.log(`B ${b} T ${tq} x ${tk} D ${d} H ${heads}${dropout ? ` dropout ${dropout}` : ""}`);
  console.log(`  forward  ${await measure(forward, 4 * pairs)}`);
  const backward = await new Bench(device).build(attentionGradOp, [...inputs, ...results], attrs);
  console.log(`  backward ${await measure(backward, 10 * pairs)}`);
}

const cases: readonly (readonly [number, number, number, number, number, number])[] = [
  [16, 65, 65, 128, 4, 0],
  [32, 65, 65, 128, 4, 0],
  [32, 16, 16, 128, 4, 0],
  [32, 16, 65, 128, 4, 0],
  [32, 16, 16, 128, 4, 0.1],
  [32, 16, 65, 128, 4, 0.1],
  [16, 17, 17, 64, 4, 0],
  [2, 257, 257, 768, 12, 0],
  [1, 577, 577, 768, 12, 0],
];
for (const c of cases) await sweep(...c);
Deno.exit(0);
