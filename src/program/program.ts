/**
 * A planned program with its memory, pipelines and bind groups: made once, replayed with one submit per run.
 *
 * @module
 */
import type { Device } from "../gpu/device.ts";
import { formatBytes, KernelError, UnsupportedError } from "../gpu/errors.ts";
import { allocate, type Storage, upload, writeWords } from "../gpu/storage.ts";
import { TimeStamps } from "../gpu/timestamps.ts";
import { BufferUsage, VALUE_USAGE } from "../gpu/usage.ts";
import { type Aval, disposedError, Node, type Op, Tensor } from "./graph.ts";
import type { BufferRef, Dispatch, Uniform } from "./lowering.ts";
import { type Plan, plan } from "./plan.ts";
import type { Avals, Tree } from "./tree.ts";

const inputOp: Op<Aval> = { name: "input", infer: (_, { shape, dtype }) => [{ shape, dtype }] };

/** A tensor whose value comes later: an argument while a function is traced. */
export function placeholder({ shape, dtype }: Aval): Tensor {
  return new Tensor(new Node(inputOp, [], { shape, dtype }) as Node);
}

/** A tree of tensors whose values come later, from their shapes and types. */
export function placeholders<T extends Tree>(avals: Avals<T>): T {
  const fill = (part: unknown): unknown => {
    if (typeof (part as Aval).dtype === "string") return placeholder(part as Aval); // a tensor may be named so, too
    if (Array.isArray(part)) return part.map(fill);
    return Object.fromEntries(Object.entries(part as object).map(([name, child]) => [name, fill(child)]));
  };
  return fill(avals) as T;
}

/** A tensor whose value is in `storage`. */
export function stored({ shape, dtype }: Aval, storage: Storage): Tensor {
  const t = placeholder({ shape, dtype });
  t.node.storage[0] = storage;
  return t;
}

interface Step {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly size: readonly [number, number];
  readonly leaves: readonly number[];
  group: GPUBindGroup | undefined;
}

/**
 * Called while the kernels of a new program are compiled, one by one: `done` of `total` distinct kernels, and the next one's name. They
 * are compiled by WebGPU ("compile"), and by drivers for CPUs once more when they first run ("first run").
 */
export type CompileProgress = (done: number, total: number, kernel: string, phase: "compile" | "first run") => void;

/** New kernels of a part of a first run: a wait costs some 10 ms, a kernel of a driver for CPUs 50 to 900. */
const NEW_KERNELS = 2;

/** What one dispatch took when its program was profiled. */
export interface KernelTime {
  /** The kernel, see {@linkcode Dispatch}. */
  readonly name: string;
  /** When it started, nanoseconds after the first kernel of the program. */
  readonly start: number;
  /** From its first to its last thread. */
  readonly nanoseconds: number;
  /** Floating-point operations, where the kernel says how many. */
  readonly flop: number;
  /** Bytes of all its bindings. */
  readonly bytes: number;
}

/** A compiled program. */
export class Program {
  /** What runs, over which memory. */
  readonly plan: Plan;
  #arenas: GPUBuffer[] = [];
  #uniforms: GPUBuffer | undefined;
  #uniformAt = new Map<Uniform, number>();
  #steps: Step[] | undefined;
  #leafBuffers: GPUBuffer[] = [];
  /** Buffers of the program for leaves whose values are copied to it. */
  #ownBuffers = new Map<number, GPUBuffer>();
  #proven = false;
  /** Told of the first run, which is the one in which drivers for CPUs compile. */
  #progress: CompileProgress | undefined;
  readonly #parameters: readonly number[];
  readonly #avals: readonly Aval[];
  /** The end of the call before. */
  #last: Promise<void> = Promise.resolve();
  /** Bytes of sizes, strides and constants of the kernels. */
  readonly constantBytes: number;

  /** Plans the computation of `outputs`; use {@linkcode compile}. */
  constructor(
    /** Where it runs. */
    readonly device: Device,
    readonly parameters: readonly Tensor[],
    outputs: readonly Tensor[],
    readonly donated: readonly Tensor[] = [],
  ) {
    this.plan = plan(outputs, donated, device.profile, device.gpu.limits.maxBufferSize);
    this.#avals = outputs.map(({ shape, dtype }) => ({ shape, dtype }));
    this.#parameters = parameters.map((p) => this.plan.leaves.indexOf(p));
    this.constantBytes = this.#placeUniforms();
  }

  /** Bytes of intermediate memory. */
  get arenaBytes(): number {
    return this.plan.layout.arenas.reduce((a, b) => a + b, 0);
  }

  /** Calls that overlap in time share memory, so each waits for the one before. */
  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(call);
    this.#last = turn.then(() => {}, () => {});
    return turn;
  }

  /** Allocates memory and compiles kernels, once. */
  build(progress?: CompileProgress): Promise<void> {
    return this.#inTurn(() => this.#build(progress));
  }

  async #build(progress?: CompileProgress): Promise<void> {
    if (this.#steps) return;
    const { layout, steps } = this.plan;
    for (const dispatch of steps) this.#checkBindings(dispatch);
    for (const [i, bytes] of layout.arenas.entries()) {
      this.#arenas.push(
        await this.device.createBuffer(bytes, VALUE_USAGE, `the intermediates of a program (arena ${i})`),
      );
    }
    await this.#writeUniforms();
    const built: Step[] = [], total = new Set(steps.map(({ code }) => code)).size, seen = new Set<string>();
    for (const dispatch of steps) {
      if (!seen.has(dispatch.code)) progress?.(seen.size, total, dispatch.name, "compile");
      seen.add(dispatch.code);
      built.push(await this.#step(dispatch));
    }
    this.#progress = progress;
    for (const [leaf, t] of this.plan.leaves.entries()) await this.#placeCaptured(t, leaf);
    this.#steps = built;
  }

  /** Throws if a kernel binds more buffers, or reads or writes more of one value, than the adapter can bind. */
  #checkBindings({ name, bindings }: Dispatch): void {
    const most = this.device.gpu.limits.maxStorageBufferBindingSize, { maxStorageBuffers } = this.device.profile;
    const buffers = bindings.filter((b) => !("words" in b)).length;
    if (buffers > maxStorageBuffers) {
      throw new UnsupportedError(
        `Cannot run the kernel "${name}": it must bind at most ${maxStorageBuffers} storage buffers, all that ` +
          `"${this.device.adapter}" allows: it binds ${buffers}`,
      );
    }
    for (const b of bindings) {
      if ("words" in b || b.bytes <= most) continue;
      const value = this.plan.slots[b.value]!.name.replace(/^leaf /, "input ");
      throw new UnsupportedError(
        `Cannot run the kernel "${name}": each value must have at most ${most} bytes, all that "${this.device.adapter}" can bind: ` +
          `"${value}" has ${b.bytes}; lower the batch size, the resolution or the width, or split the value`,
      );
    }
  }

  async #step(dispatch: Dispatch): Promise<Step> {
    const pipeline = await this.device.pipeline(dispatch);
    const slots = dispatch.bindings.flatMap((b) => "words" in b ? [] : [this.#rootSlot(b.value).leaf]);
    const leaves = [...new Set(slots.filter((l) => l !== undefined))];
    return { dispatch, pipeline, size: foldWorkgroups(dispatch.workgroups), leaves, group: undefined };
  }

  #rootSlot(value: number): Plan["slots"][number] {
    let slot = this.plan.slots[value]!;
    while (slot.parent) slot = this.plan.slots[slot.parent.slot]!;
    return slot;
  }

  /** Uploads a captured host tensor; to a buffer of the program if the tensor is on another device already. */
  async #placeCaptured(t: Tensor, leaf: number): Promise<void> {
    const { host, storage } = t.node;
    if (!host || this.parameters.includes(t) || storageOn(t, this.device)) return;
    if (storage[0]) writeWords(this.device, await this.#ownBuffer(leaf, host.byteLength), host);
    else storage[0] = await upload(this.device, host, `a captured ${t}`);
  }

  /** Gives every uniform an offset in one buffer; returns its size. */
  #placeUniforms(): number {
    const align = this.device.gpu.limits.minUniformBufferOffsetAlignment;
    let size = 0;
    for (const b of this.plan.steps.flatMap((d) => d.bindings)) {
      if ("words" in b && !this.#uniformAt.has(b)) {
        this.#uniformAt.set(b, size), size += Math.ceil(uniformBytes(b) / align) * align;
      }
    }
    return size;
  }

  async #writeUniforms(): Promise<void> {
    if (!this.constantBytes) return;
    const words = new Uint32Array(this.constantBytes / 4);
    for (const [u, at] of this.#uniformAt) words.set(u.words, at / 4);
    const usage = BufferUsage.UNIFORM | BufferUsage.STORAGE | BufferUsage.COPY_DST;
    this.#uniforms = await this.device.createBuffer(this.constantBytes, usage, "the constants of a program");
    this.device.gpu.queue.writeBuffer(this.#uniforms, 0, words);
  }

  /** Runs the program once. Donated arguments must not be used afterwards. */
  run(args: readonly Tensor[]): Promise<Tensor[]> {
    return this.#inTurn(() => this.#run(args));
  }

  async #run(args: readonly Tensor[], encode?: (encoder: GPUCommandEncoder) => void): Promise<Tensor[]> {
    await this.#build();
    this.device.check();
    const storages = await this.#bindLeaves(args);
    const results = await this.#allocateResults(storages);
    const disposed = storages.findIndex((s) => s?.gone === "disposed"); // while memory was allocated: nobody awaited this call
    if (disposed >= 0) throw disposedError(this.plan.leaves[disposed]!);
    if (this.device.poison) this.#poison();
    const { gpu } = this.device, proven = this.#proven;
    if (!proven) gpu.pushErrorScope("validation");
    const inParts = !proven && !encode && this.device.profile.kind === "cpu" ? this.#progress : undefined;
    encode ??= inParts ? await this.#runInParts(inParts) : (e) => this.#encode(e);
    const encoder = gpu.createCommandEncoder();
    encode(encoder);
    this.#copyResults(encoder, results);
    gpu.queue.submit([encoder.finish()]);
    if (!proven) {
      const error = await gpu.popErrorScope();
      if (error) await this.#blame(error);
      this.#proven = true;
    }
    return results.map((r) => r.tensor);
  }

  #poison(): void {
    for (const arena of this.#arenas) {
      this.device.gpu.queue.writeBuffer(arena, 0, new Uint32Array(arena.size / 4).fill(0x7fc0dead));
    }
  }

  /** Runs the program once, as `run` does, with a time stamp before and after each kernel. */
  profile(args: readonly Tensor[]): Promise<{ results: Tensor[]; times: KernelTime[] }> {
    return this.#inTurn(() => this.#profile(args));
  }

  async #profile(args: readonly Tensor[]): Promise<{ results: Tensor[]; times: KernelTime[] }> {
    const stamps = await TimeStamps.create(this.device, this.plan.steps.length);
    const results = await this.#run(args, (encoder) => {
      for (const step of this.#steps!) stamps.measure(encoder, (pass) => this.#dispatch(pass, step));
    });
    const passes = await stamps.read();
    const times = this.plan.steps.map(({ name, flop = 0, bindings }, i) => ({
      name,
      start: passes[i]!.start,
      nanoseconds: passes[i]!.end - passes[i]!.start,
      flop,
      bytes: bindings.reduce((n, b) => n + ("words" in b ? 0 : b.bytes), 0),
    }));
    return { results, times };
  }

  /** Finds the buffers of all leaves; a changed buffer invalidates the bind groups that name it. */
  async #bindLeaves(args: readonly Tensor[]): Promise<(Storage | undefined)[]> {
    const storages = this.plan.leaves.map((t) => storageOn(t, this.device));
    const changed = new Set<number>();
    const bind = (leaf: number, buffer: GPUBuffer): void => {
      if (this.#leafBuffers[leaf] === buffer) return;
      this.#leafBuffers[leaf] = buffer;
      changed.add(leaf);
    };
    for (const [i, arg] of args.entries()) {
      const leaf = this.#parameters[i]!;
      if (leaf < 0) continue;
      storages[leaf] = await this.#argument(arg, leaf);
    }
    const bound = new Set<Storage>();
    for (const [leaf, storage] of storages.entries()) {
      if (!storage) {
        const own = this.#ownBuffers.get(leaf);
        if (!own) throw leakedError(this.plan.leaves[leaf]!);
        bind(leaf, own);
        continue;
      }
      if (storage.gone) throw goneError(this.plan.leaves[leaf]!, storage);
      bind(leaf, bound.has(storage) ? await this.#copyOf(storage, leaf) : storage.buffer);
      bound.add(storage);
    }
    if (changed.size) {
      for (const step of this.#steps!) if (step.leaves.some((l) => changed.has(l))) step.group = undefined;
    }
    return storages;
  }

  /** The memory of an argument. Host data goes to a buffer of the program, or to memory of its own if it is donated. */
  async #argument(arg: Tensor, leaf: number): Promise<Storage | undefined> {
    const storage = storageOn(arg, this.device);
    if (storage?.gone) throw goneError(arg, storage);
    if (storage) return storage;
    const host = arg.node.host;
    if (!host) throw leakedError(arg);
    if (this.donated.includes(this.plan.leaves[leaf]!)) return await upload(this.device, host, `a donated ${arg}`);
    writeWords(this.device, await this.#ownBuffer(leaf, host.byteLength), host);
    return undefined;
  }

  /** A copy of a tensor that is already bound as another leaf: WebGPU refuses a kernel that binds one range twice. */
  async #copyOf({ buffer, bytes }: Storage, leaf: number): Promise<GPUBuffer> {
    const copy = await this.#ownBuffer(leaf, bytes), encoder = this.device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, copy, 0, bytes);
    this.device.gpu.queue.submit([encoder.finish()]);
    return copy;
  }

  async #ownBuffer(leaf: number, bytes: number): Promise<GPUBuffer> {
    let buffer = this.#ownBuffers.get(leaf);
    if (!buffer) {
      const purpose = `an argument ${this.plan.leaves[leaf]!}`;
      this.#ownBuffers.set(leaf, buffer = await this.device.createBuffer(bytes, VALUE_USAGE, purpose));
    }
    return buffer;
  }

  async #allocateResults(
    storages: readonly (Storage | undefined)[],
  ): Promise<{ tensor: Tensor; from: BufferRef; copy: boolean; buffer: GPUBuffer }[]> {
    const out = [];
    for (const [i, r] of this.plan.results.entries()) {
      const aval = this.#avals[i]!;
      const storage = r.donated === undefined
        ? await allocate(this.device, r.ref.bytes, `a result ${aval.dtype}[${aval.shape}]`)
        : storages[r.donated]!.handOver();
      out.push({
        tensor: stored(aval, storage),
        from: r.ref,
        copy: r.donated === undefined || r.copied,
        buffer: storage.buffer,
      });
    }
    return out;
  }

  #copyResults(
    encoder: GPUCommandEncoder,
    results: readonly { from: BufferRef; copy: boolean; buffer: GPUBuffer }[],
  ): void {
    for (const { from, copy, buffer } of results) {
      if (!copy) continue;
      const source = this.#resource(from);
      encoder.copyBufferToBuffer(source.buffer, source.offset!, buffer, 0, Math.ceil(from.bytes / 4) * 4);
    }
  }

  #resource(b: BufferRef | Uniform): GPUBufferBinding & { offset: number } {
    if ("words" in b) return { buffer: this.#uniforms!, offset: this.#uniformAt.get(b)!, size: uniformBytes(b) };
    let offset = b.offset, value = b.value, slot = this.plan.slots[value]!;
    while (slot.parent) offset += slot.parent.offset, value = slot.parent.slot, slot = this.plan.slots[value]!;
    if (slot.leaf !== undefined) return { buffer: this.#leafBuffers[slot.leaf]!, offset, size: b.bytes };
    const place = this.plan.places[value]!;
    return { buffer: this.#arenas[place.arena]!, offset: place.offset + offset, size: b.bytes };
  }

  #dispatch(pass: GPUComputePassEncoder, step: Step): void {
    const { gpu } = this.device;
    step.group ??= gpu.createBindGroup({
      layout: this.device.layout(step.dispatch.bindings.map((b) => "words" in b ? "u" : "s").join("")),
      entries: step.dispatch.bindings.map((b, binding) => ({ binding, resource: this.#resource(b) })),
    });
    pass.setPipeline(step.pipeline);
    pass.setBindGroup(0, step.group);
    pass.dispatchWorkgroups(...step.size);
  }

  #encode(encoder: GPUCommandEncoder, steps: readonly Step[] = this.#steps!): void {
    if (!steps.length) return;
    const pass = encoder.beginComputePass();
    for (const step of steps) this.#dispatch(pass, step);
    pass.end();
  }

  /** Runs all but the last steps, in parts of a few kernels that are new, each waited for; returns what encodes the rest. */
  async #runInParts(progress: CompileProgress): Promise<(encoder: GPUCommandEncoder) => void> {
    const { gpu } = this.device, steps = this.#steps!, total = new Set(steps.map((s) => s.pipeline)).size;
    const seen = new Set<GPUComputePipeline>();
    let first = 0;
    for (const [i, { pipeline, dispatch }] of steps.entries()) {
      if (seen.has(pipeline)) continue;
      if (seen.size && seen.size % NEW_KERNELS === 0) {
        const encoder = gpu.createCommandEncoder();
        this.#encode(encoder, steps.slice(first, i));
        gpu.queue.submit([encoder.finish()]);
        await gpu.queue.onSubmittedWorkDone();
        first = i;
      }
      progress(seen.size, total, dispatch.name, "first run");
      seen.add(pipeline);
    }
    return (encoder) => this.#encode(encoder, steps.slice(first));
  }

  /** Finds the dispatch that WebGPU refuses, by encoding each alone, and throws an error that names it. */
  async #blame(refusal: GPUError): Promise<never> {
    const { gpu } = this.device;
    const scopes = this.#steps!.map((step) => {
      gpu.pushErrorScope("validation");
      const encoder = gpu.createCommandEncoder(), pass = encoder.beginComputePass();
      this.#dispatch(pass, step);
      pass.end();
      encoder.finish();
      return gpu.popErrorScope();
    });
    const errors = await Promise.all(scopes), i = errors.findIndex((e) => e !== null);
    if (i < 0) throw new KernelError(`Cannot run the program: ${refusal.message}`);
    const { name, bindings, workgroups } = this.#steps![i]!.dispatch;
    const sizes = bindings.map((b) =>
      "words" in b ? "uniform" : `${this.plan.slots[b.value]!.name} (${formatBytes(b.bytes)})`
    );
    throw new KernelError(
      `Cannot run the kernel "${name}" (${workgroups} workgroups over ${sizes.join(", ")}): ${errors[i]!.message}`,
    );
  }

  /** Frees the memory of the program; its results stay valid. */
  destroy(): void {
    for (const b of [...this.#arenas, ...this.#ownBuffers.values(), ...(this.#uniforms ? [this.#uniforms] : [])]) {
      this.device.destroyBuffer(b);
    }
    this.#arenas = [];
    this.#ownBuffers.clear();
    this.#uniforms = undefined;
    this.#steps = undefined;
  }

  /** The program as text: one line per dispatch with the values it reads and writes. */
  toString(): string {
    const label = (b: BufferRef | Uniform): string => {
      if ("words" in b) return "";
      const slot = this.plan.slots[b.value]!;
      return `%${b.value}${b.offset ? `+${b.offset}` : ""}:${slot.name.replace(/^leaf /, "")}`;
    };
    const lines = this.plan.steps.map((d) =>
      `${d.name} x${d.workgroups}(${d.bindings.map(label).filter(Boolean).join(", ")})`
    );
    const results = this.plan.results.map((r) => label(r.ref)).join(", ");
    return `program(${this.parameters.join(", ")}), ${formatBytes(this.arenaBytes)} of intermediates\n` +
      `${lines.map((l) => `  ${l}\n`).join("")}  return ${results}\n`;
  }
}

/**
 * The memory of a tensor on `device`; undefined if its value is on the host.
 *
 * @throws {Error} if it is on another device only.
 */
function storageOn(t: Tensor, device: Device): Storage | undefined {
  const storage = t.node.storage[t.index];
  if (!storage || storage.device === device) return storage;
  if (t.node.host && !storage.gone) return undefined;
  throw new Error(
    `Cannot use a ${t} on the device "${device.adapter}": it must be on that device: it is on another one, ` +
      `"${storage.device.adapter}"; move it with toDevice(tensors, device)`,
  );
}

function goneError(t: Tensor, { gone }: Storage): Error {
  return gone === "disposed"
    ? disposedError(t)
    : new Error(`Cannot use a ${t}: its memory was donated to an earlier call; use that call's result instead`);
}

function leakedError(t: Tensor): Error {
  return new Error(
    `Cannot use a ${t} without a value: it must be used inside of the function that compile() traced it for: it is used ` +
      `outside; return it from that function, and use the result`,
  );
}

function uniformBytes(u: Uniform): number {
  return Math.max(16, Math.ceil(u.words.length / 4) * 16);
}

/** Workgroups along one dimension of a dispatch that every device takes: WebGPU's default maxComputeWorkgroupsPerDimension. */
const MOST_WORKGROUPS = 65_535;

/** A linear number of workgroups as dispatch dimensions: folded to two beyond 65,535. */
export function foldWorkgroups(workgroups: number): [number, number] {
  const y = Math.ceil(workgroups / MOST_WORKGROUPS);
  return [Math.ceil(workgroups / y), y];
}
