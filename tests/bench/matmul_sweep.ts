/**
 * Speed of every matmul variant over the shapes of the models, in GFLOP/s, and the time of each kernel's first use:
 *
 *     deno run -A tests/bench/matmul_sweep.ts [--chosen] [--f16] [--kind=gpu] [--no-subgroups] [--shapes=2080,128,128:NT;1024,1024,1024:NN]
 *
 * `--chosen` times only the variant that `chooseMatmul` takes. A shape is M,N,K or M,N,K,batch, then the layouts.
 */
import { Device, openDevice } from "../../src/gpu/device.ts";
import { matmulOp } from "../../src/ops/matmul.ts";
import {
  chooseMatmul,
  type MatmulChoice,
  type MatmulSizes,
  matmulVariants,
  overrideMatmulChoice,
} from "../../src/ops/matmul_variants.ts";
import { type Aval, byteLength, Node } from "../../src/program/graph.ts";
import type { BufferRef, Dispatch } from "../../src/program/lowering.ts";
import { fold, placeholder, plainEmit } from "../testing/run_op.ts";

const dtype = Deno.args.includes("--f16") ? "f16" : "f32";
const shapes = "1024,1024,1024:NN NT TN TT;2080,128,128:NN NT;2080,512,128:NN NT;2080,128,512:NN NT;128,128,2080:TN;" +
  "512,128,2080:TN;128,512,2080:TN;512,512,2080:TN;512,128,128:NT;512,512,128:NT;32,128,64:NT;96,96,256:NN;512,2,128:NT;" +
  "65,65,32,64:NT;65,32,65,64:NN TN";

interface Case extends MatmulSizes {
  readonly layout: string;
}

function parseCases(text: string): Case[] {
  return text.split(";").flatMap((entry) => {
    const [sizes, layouts] = entry.split(":");
    const [m, n, k, batch = 1] = sizes!.split(",").map(Number) as [number, number, number, number?];
    return layouts!.split(" ").map((layout) => ({ m, n, k, batch, layout }));
  });
}

/** Buffers and dispatches of one product under the choice in force. */
class Run {
  readonly dispatches: Dispatch[] = [];
  readonly #buffers: { usage: number; bytes: number; words?: readonly number[] }[] = [];
  readonly #made: GPUBuffer[] = [];

  constructor(readonly device: Device, c: Case) {
    const a = c.layout[0] === "T" ? [c.batch, c.k, c.m] : [c.batch, c.m, c.k];
    const b = c.layout[1] === "T" ? [c.batch, c.n, c.k] : [c.batch, c.k, c.n];
    const attrs = { transposeA: c.layout[0] === "T", transposeB: c.layout[1] === "T" };
    const node = new Node(matmulOp, [placeholder(a, dtype), placeholder(b, dtype)], attrs);
    const out = this.#place(byteLength(node.avals[0]!));
    matmulOp.lower!({
      device: device.profile,
      inputs: node.inputs.map((t: Aval) => this.#place(byteLength(t))),
      outputs: [out],
      scratch: (bytes) => this.#place(bytes),
      emit: (width) => plainEmit(out, width),
      dispatch: (d) => this.dispatches.push(d),
    }, node);
  }

  #place(bytes: number): BufferRef {
    this.#buffers.push({ usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, bytes });
    return { value: this.#buffers.length - 1, offset: 0, bytes, dtype: "f32" };
  }

  /** Milliseconds of the first run, compilation included, and the best of several later ones. */
  async time(): Promise<{ first: number; best: number }> {
    for (const { bytes, usage } of this.#buffers) {
      const buffer = await this.device.createBuffer(bytes, usage, "a matmul benchmark");
      this.device.gpu.queue.writeBuffer(buffer, 0, new Float32Array(bytes / 4).fill(0.5));
      this.#made.push(buffer);
    }
    const start = performance.now();
    const steps = await Promise.all(this.dispatches.map((d) => this.#prepare(d)));
    await this.#submit(steps, 1);
    const first = performance.now() - start;
    // Waiting costs milliseconds of its own: the difference of many runs and one leaves the time of the runs.
    const wait = Math.min(await this.#submit(steps, 1), await this.#submit(steps, 1));
    const rough = Math.max(0.02, (await this.#submit(steps, 17) - wait) / 16);
    const runs = Math.round(Math.min(2000, Math.max(4, 80 / rough)));
    let best = Infinity;
    for (let i = 0; i < 5; i++) best = Math.min(best, (await this.#submit(steps, runs + 1) - wait) / runs);
    for (const buffer of this.#made) this.device.destroyBuffer(buffer);
    return { first, best };
  }

  async #prepare(d: Dispatch): Promise<(pass: GPUComputePassEncoder) => void> {
    const { gpu } = this.device;
    const pipeline = await this.device.pipeline(d);
    const signature = d.bindings.map((b) => "words" in b ? "u" : "s").join("");
    const entries = await Promise.all(d.bindings.map(async (b, binding) => {
      if (!("words" in b)) return { binding, resource: { buffer: this.#made[b.value]! } };
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
      const buffer = await this.device.createBuffer(Math.ceil(b.words.length / 4) * 16, usage, "benchmark sizes");
      gpu.queue.writeBuffer(buffer, 0, new Uint32Array(b.words));
      this.#made.push(buffer);
      return { binding, resource: { buffer } };
    }));
    const group = gpu.createBindGroup({ layout: this.device.layout(signature), entries });
    return (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...fold(d.workgroups));
    };
  }

  async #submit(steps: ((pass: GPUComputePassEncoder) => void)[], runs: number): Promise<number> {
    const encoder = this.device.gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < runs; i++) steps.forEach((step) => step(pass));
    pass.end();
    const start = performance.now();
    this.device.gpu.queue.submit([encoder.finish()]);
    await this.device.gpu.queue.onSubmittedWorkDone();
    return performance.now() - start;
  }
}

function choicesFor(device: Device, sizes: Case): MatmulChoice[] {
  const chosen = chooseMatmul(device.profile, sizes);
  if (Deno.args.includes("--chosen")) return [chosen];
  return matmulVariants(device.profile).map((variant) => variant === chosen.variant ? chosen : { variant, splits: 1 });
}

const option = (name: string) => Deno.args.find((a) => a.startsWith(`--${name}=`))?.slice(name.length + 3);
const kind = option("kind") as "cpu" | "gpu" | undefined;
const opened = await openDevice(kind ? { kind } : {});
const subgroups = opened.profile.subgroups && !Deno.args.includes("--no-subgroups");
const device = new Device(opened.gpu, opened.adapter, { ...opened.profile, subgroups });
console.log(`${device.adapter}: GFLOP/s; * is the variant that the rule chooses`);
for (const sizes of parseCases(option("shapes") ?? shapes)) {
  const chosen = chooseMatmul(device.profile, sizes);
  for (const choice of choicesFor(device, sizes)) {
    overrideMatmulChoice(() => choice);
    const { first, best } = await new Run(device, sizes).time();
    overrideMatmulChoice(undefined);
    const { m, n, k, batch, layout } = sizes;
    const name = `${[m, n, k, ...batch > 1 ? [batch] : []]} ${layout}`;
    const rate = (2 * m * n * k * batch / best / 1e6).toFixed(1);
    const variant = `${choice.variant.name}${choice.splits > 1 ? ` x${choice.splits}` : ""}`;
    const mark = choice.variant === chosen.variant ? "*" : " ";
    console.log(`${name.padEnd(20)} ${mark} ${variant.padEnd(26)} ${rate.padStart(6)}   first ${first.toFixed(0)} ms`);
  }
}
