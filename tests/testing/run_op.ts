/**
 * Runs the lowering of one op by itself: inputs in buffers of their own, results and scratch poisoned, nothing fused.
 */
import { defaultDevice, type Device } from "../../src/gpu/device.ts";
import {
  type Aval,
  byteLength,
  type DType,
  type HostArray,
  Node,
  type Op,
  sizeOf,
  Tensor,
} from "../../src/program/graph.ts";
import type { BufferRef, Dispatch, Emit, Lowering, Uniform } from "../../src/program/lowering.ts";

/** A host value given to an op. */
export interface HostTensor {
  readonly data: HostArray;
  readonly shape: readonly number[];
  readonly dtype?: DType;
}

const inputOp: Op<Aval> = { name: "input", infer: (_, aval) => [aval] };

/** A placeholder tensor, for building nodes in tests. */
export function placeholder(shape: readonly number[], dtype: DType = "f32"): Tensor {
  return new Tensor(new Node(inputOp, [], { shape, dtype }) as Node);
}

/** Results of `op` on host inputs. Results and scratch memory start as poison, so an element never written is found. */
export async function runOp<A>(op: Op<A>, inputs: readonly HostTensor[], attrs: A, on?: Device): Promise<HostArray[]> {
  const device = on ?? await defaultDevice();
  const node = new Node(op, inputs.map((t) => placeholder(t.shape, t.dtype)), attrs);
  const run = new SingleOp(device);
  const ins = await Promise.all(inputs.map((t) => run.value({ shape: t.shape, dtype: t.dtype ?? "f32" }, t.data)));
  const outs = await Promise.all(node.avals.map((a) => run.value(a)));
  const lowering: Lowering = {
    device: device.profile,
    inputs: ins,
    outputs: outs,
    scratch: (bytes, dtype = "f32") => run.scratch(bytes, dtype),
    emit: (width) => plainEmit(outs[0]!, width),
    dispatch: (d) => run.dispatches.push(d),
  };
  op.lower!(lowering, node);
  try {
    return await run.execute(outs, node.avals);
  } finally {
    run.close();
  }
}

/** The writer of result 0 without anything fused into it. */
export function plainEmit(out: BufferRef, width: 1 | 4): Emit {
  const type = width === 4 ? "vec4<f32>" : "f32";
  return {
    code: `alias V = ${type};\n@group(0) @binding(0) var<storage, read_write> out0: array<${type}>;\n` +
      `fn emit(i: u32, v: V) { out0[${width === 4 ? "i / 4u" : "i"}] = v; }\n`,
    bindings: { out0: out },
  };
}

class SingleOp {
  readonly dispatches: Dispatch[] = [];
  #buffers: GPUBuffer[] = [];
  #scratch: number[] = [];
  constructor(readonly device: Device) {}

  async value(aval: Aval, data?: HostArray): Promise<BufferRef> {
    const bytes = byteLength(aval);
    const buffer = await this.device.createBuffer(
      bytes,
      GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      "a test value",
    );
    const poison = aval.dtype === "f16" ? 0x7e007e00 : 0x7fc0dead;
    const content = data ?? new Uint32Array(buffer.size / 4).fill(poison);
    const padded = new Uint8Array(buffer.size);
    padded.set(new Uint8Array(content.buffer, content.byteOffset, Math.min(content.byteLength, buffer.size)));
    this.device.gpu.queue.writeBuffer(buffer, 0, padded);
    this.#buffers.push(buffer);
    return { value: this.#buffers.length - 1, offset: 0, bytes, dtype: aval.dtype };
  }

  scratch(bytes: number, dtype: DType): BufferRef {
    this.#scratch.push(bytes);
    return { value: -this.#scratch.length, offset: 0, bytes: Math.ceil(bytes / 4) * 4, dtype };
  }

  async execute(outs: readonly BufferRef[], avals: readonly Aval[]): Promise<HostArray[]> {
    const { gpu } = this.device;
    const scratch: GPUBuffer[] = [];
    for (const bytes of this.#scratch) {
      const ref = await this.value({ shape: [Math.ceil(bytes / 4)], dtype: "u32" });
      scratch.push(this.#buffers[ref.value]!);
    }
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    gpu.pushErrorScope("validation");
    for (const d of this.dispatches) {
      pass.setPipeline(await this.device.pipeline(d));
      pass.setBindGroup(0, await this.bindGroup(d, scratch));
      pass.dispatchWorkgroups(...fold(d.workgroups));
    }
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    const error = await gpu.popErrorScope();
    if (error) throw new Error(`Cannot run ${this.dispatches.map((d) => d.name)}: ${error.message}`);
    return await Promise.all(outs.map((o, i) => this.read(o, avals[i]!)));
  }

  async bindGroup(d: Dispatch, scratch: readonly GPUBuffer[]): Promise<GPUBindGroup> {
    const signature = d.bindings.map((b) => "words" in b ? "u" : "s").join("");
    const entries = await Promise.all(
      d.bindings.map(async (b, binding) => ({ binding, resource: await this.resource(b, scratch) })),
    );
    return this.device.gpu.createBindGroup({ layout: this.device.layout(signature), entries });
  }

  async resource(b: BufferRef | Uniform, scratch: readonly GPUBuffer[]): Promise<GPUBufferBinding> {
    if (!("words" in b)) {
      const buffer = b.value < 0 ? scratch[-b.value - 1]! : this.#buffers[b.value]!;
      return { buffer, offset: b.offset, size: b.bytes };
    }
    const size = Math.ceil(Math.max(16, b.words.length * 4) / 16) * 16;
    const buffer = await this.device.createBuffer(
      size,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      "test uniforms",
    );
    this.device.gpu.queue.writeBuffer(buffer, 0, new Uint32Array(b.words));
    this.#buffers.push(buffer);
    return { buffer };
  }

  async read(ref: BufferRef, aval: Aval): Promise<HostArray> {
    const { gpu } = this.device;
    const staging = gpu.createBuffer({
      size: Math.max(4, ref.bytes),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#buffers[ref.value]!, ref.offset, staging, 0, ref.bytes);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const bytes = staging.getMappedRange().slice(0);
    staging.destroy();
    const type = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, f16: Uint16Array }[aval.dtype];
    return new type(bytes, 0, sizeOf(aval.shape));
  }

  close(): void {
    for (const b of this.#buffers) this.device.destroyBuffer(b);
  }
}

/** A linear number of workgroups as dispatch dimensions. */
export function fold(workgroups: number): [number, number] {
  if (workgroups <= 65535) return [workgroups, 1];
  const y = Math.ceil(workgroups / 65535);
  return [Math.ceil(workgroups / y), y];
}
