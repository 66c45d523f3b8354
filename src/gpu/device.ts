/**
 * The GPU: adapter, device with the adapter's own limits and features, buffers that are counted, pipelines that are cached.
 *
 * @module
 */
import {
  describeAdapter,
  isOpenGl,
  requestAdapter,
  requestDevice,
  subgroupsDirective,
  warnOfOpenGl,
} from "./adapter.ts";
import { driverOf, readNotes, warnOfWrong } from "./adapter_notes.ts";
import { readEnvironment } from "./environment.ts";
import { compileError, DeviceLostError, formatBytes, KernelError, OutOfMemoryError } from "./errors.ts";
import type { KernelChoices } from "./kernel_choices.ts";
import { chosenBy, type DeviceProfile } from "./profile.ts";

export { type DeviceProfile, sharingLanes } from "./profile.ts";

/** Which adapter to take. */
export interface DeviceOptions {
  /** "high-performance" (default), "low-power" or "software"; the environment variable GRITSTONE_ADAPTER says the same. */
  readonly adapter?: string;
  /**
   * "adapter" (default): all that it has. "guaranteed": what WebGPU guarantees on every adapter, so that what runs with it runs on all;
   * the environment variable GRITSTONE_LIMITS says the same.
   */
  readonly limits?: "adapter" | "guaranteed";
  /**
   * "kept" (default): products are computed by the kernels that `deno task doctor` found fastest on this adapter, if it ran here. "none": by
   * the built-in rule. The environment variable GRITSTONE_TUNING says the same.
   */
  readonly tuning?: "kept" | "none";
  /** Folder of what the doctor has kept, or "off": see `cacheFolder`; the environment variable GRITSTONE_CACHE says the same. */
  readonly cache?: string;
  /** For tests: pretend to be the other kind of adapter, so that its kernels are chosen. */
  readonly kind?: "cpu" | "gpu";
}

/** What a pipeline is made of. */
export interface PipelineSource {
  /** Name in errors. */
  readonly name: string;
  /** Complete WGSL with the entry point `main`. */
  readonly code: string;
  /** What is bound, in order; a uniform is a binding that has `words`. */
  readonly bindings: readonly object[];
}

/** Bytes of GPU memory in use now and at most so far. */
export interface MemoryUse {
  /** Now. */
  readonly bytes: number;
  /** The most so far. */
  readonly peak: number;
  /** Number of buffers. */
  readonly buffers: number;
}

/** An open WebGPU device. */
export class Device {
  #pipelines = new Map<string, GPUComputePipeline>();
  #layouts = new Map<string, GPUBindGroupLayout>();
  #bytes = 0;
  #peak = 0;
  #buffers = 0;
  #lost: string | undefined;
  #uncaptured: string | undefined;
  /**
   * How kernels bind their constants. Mesa's software driver puts uniforms that bound a loop into the code: where that shortens
   * it by half, it compiles the kernel anew for each dispatch and keeps what it has compiled.
   */
  readonly #constants: "uniform" | "read-only-storage";
  /** For tests: every run of a program fills its intermediate memory with NaN first, so that elements never written are found. */
  poison = false;

  readonly #whole: DeviceProfile;
  #profile: DeviceProfile;

  /**
   * Use {@linkcode openDevice}. `enableSubgroups` goes before kernels that use them; `driver` tells drivers of the adapter apart.
   */
  constructor(
    readonly gpu: GPUDevice,
    readonly adapter: string,
    profile: DeviceProfile,
    readonly enableSubgroups: string = "",
    readonly driver: string = "",
  ) {
    this.#whole = this.#profile = profile;
    this.#constants = /llvmpipe/i.test(adapter) ? "read-only-storage" : "uniform";
    gpu.lost.then((info: GPUDeviceLostInfo) => this.#lost = info.message || info.reason || "unknown reason");
    gpu.addEventListener("uncapturederror", (event: Event) => {
      event.preventDefault();
      this.#uncaptured ??= (event as GPUUncapturedErrorEvent).error.message;
    });
  }

  /** What kernels are chosen by. */
  get profile(): DeviceProfile {
    return this.#profile;
  }

  /** Chooses the kernels of all programs that are traced from now on. */
  choose(choices: KernelChoices): void {
    this.#profile = chosenBy(choices, this.#whole);
  }

  /** GPU memory held by buffers of this device. */
  get memory(): MemoryUse {
    return { bytes: this.#bytes, peak: this.#peak, buffers: this.#buffers };
  }

  /** Why nothing can be done on this device any more; undefined while it is there. */
  get loss(): DeviceLostError | undefined {
    if (this.#lost === undefined) return undefined;
    return new DeviceLostError(
      `Cannot use the GPU "${this.adapter}": the device was lost (${this.#lost}); start again from the last checkpoint`,
    );
  }

  /** Throws if the device was lost or an earlier command failed outside any error scope. */
  check(): void {
    if (this.loss) throw this.loss;
    if (this.#uncaptured !== undefined) {
      const message = this.#uncaptured;
      this.#uncaptured = undefined;
      throw new KernelError(`The GPU refused a command: ${message}`);
    }
  }

  /** Throws why a command failed: the device was lost (which is told in a later turn), an earlier error, or `error` itself. */
  async explain(error: unknown): Promise<never> {
    await new Promise((resolve) => setTimeout(resolve, 50));
    this.check();
    throw error;
  }

  /** A buffer, counted until `destroyBuffer`. `purpose` completes "Cannot allocate ... for". */
  async createBuffer(bytes: number, usage: number, purpose: string): Promise<GPUBuffer> {
    this.check();
    const size = Math.max(4, Math.ceil(bytes / 4) * 4);
    if (size > this.gpu.limits.maxBufferSize) {
      throw new OutOfMemoryError(
        `Cannot allocate ${formatBytes(size)} for ${purpose}: one buffer of "${this.adapter}" holds at most ` +
          `${formatBytes(this.gpu.limits.maxBufferSize)}; lower the batch size, the resolution or the queue`,
      );
    }
    this.gpu.pushErrorScope("out-of-memory");
    this.gpu.pushErrorScope("validation");
    const buffer = this.gpu.createBuffer({ size, usage, label: purpose });
    const [invalid, memory] = await Promise.all([this.gpu.popErrorScope(), this.gpu.popErrorScope()]);
    if (invalid || memory) {
      throw new OutOfMemoryError(
        `Cannot allocate ${formatBytes(size)} for ${purpose}: ${
          formatBytes(this.#bytes)
        } are in use on "${this.adapter}" ` +
          `(${
            (memory ?? invalid)!.message || "out of memory"
          }); lower the batch size, the resolution or the queue, or use checkpoint()`,
      );
    }
    this.#bytes += size;
    this.#buffers++;
    this.#peak = Math.max(this.#peak, this.#bytes);
    return buffer;
  }

  /** Frees a buffer made by `createBuffer`. */
  destroyBuffer(buffer: GPUBuffer): void {
    this.#bytes -= buffer.size;
    this.#buffers--;
    buffer.destroy();
  }

  /** How a kernel of this signature binds its constants: as uniforms where it has no storage buffer to spare. */
  #constantsOf(signature: string): "uniform" | "read-only-storage" {
    return signature.length > this.profile.maxStorageBuffers ? "uniform" : this.#constants;
  }

  /** The layout of a dispatch's bindings: "s" for storage, "u" for uniform, in order. */
  layout(signature: string): GPUBindGroupLayout {
    let layout = this.#layouts.get(signature);
    if (!layout) {
      const constants = this.#constantsOf(signature);
      layout = this.gpu.createBindGroupLayout({
        entries: [...signature].map((kind, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: kind === "s" ? "storage" : constants },
        })),
      });
      this.#layouts.set(signature, layout);
    }
    return layout;
  }

  /** The pipeline of a kernel, compiled once per source text. */
  async pipeline({ name, code, bindings }: PipelineSource): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(code);
    if (known) return known;
    this.check();
    const signature = bindings.map((b) => "words" in b ? "u" : "s").join("");
    this.gpu.pushErrorScope("validation");
    const enable = /\bsubgroup\w+\(/.test(code) ? this.enableSubgroups : "";
    const text = this.#constantsOf(signature) === "uniform"
      ? code
      : code.replaceAll("var<uniform>", "var<storage, read>");
    const module = this.gpu.createShaderModule({ code: enable + text, label: name });
    const broken = await this.gpu.popErrorScope();
    if (broken) {
      const { messages } = await module.getCompilationInfo();
      if (messages.length) throw compileError(name, code, [...messages]);
      throw new KernelError(`Cannot compile the kernel "${name}": ${broken.message}`);
    }
    this.gpu.pushErrorScope("validation");
    const pipeline = this.gpu.createComputePipeline({
      label: name,
      layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [this.layout(signature)] }),
      compute: { module, entryPoint: "main" },
    });
    const refused = await this.gpu.popErrorScope();
    if (refused) throw new KernelError(`Cannot build the pipeline of the kernel "${name}": ${refused.message}`);
    this.#pipelines.set(code, pipeline);
    return pipeline;
  }

  /** Number of distinct kernels compiled so far. */
  get compiledKernels(): number {
    return this.#pipelines.size;
  }

  /** Releases the device; tensors on it are gone. */
  close(): void {
    this.gpu.destroy();
  }
}

/**
 * Opens an adapter with its limits and the features that kernels can use.
 *
 * @throws {RangeError} if an option has no such value, {@linkcode Error} if there is no adapter.
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const tuning = options.tuning ?? readEnvironment("GRITSTONE_TUNING") ?? "kept";
  if (tuning !== "kept" && tuning !== "none") {
    throw new RangeError(`Cannot open a device with the tuning "${tuning}": it must be one of kept, none`);
  }
  const adapter = await requestAdapter(options.adapter ?? readEnvironment("GRITSTONE_ADAPTER"));
  const gpu = await requestDevice(adapter, options.limits ?? readEnvironment("GRITSTONE_LIMITS"));
  const described = describeAdapter(adapter.info), { name, kind, lanes } = described;
  if (isOpenGl(adapter.info, gpu.features)) warnOfOpenGl(name);
  const profile: DeviceProfile = {
    kind: options.kind ?? kind,
    subgroups: gpu.features.has("subgroups" as GPUFeatureName),
    subgroupSize: lanes,
    f16: gpu.features.has("shader-f16"),
    alignment: Math.max(256, gpu.limits.minStorageBufferOffsetAlignment),
    maxBindingBytes: gpu.limits.maxStorageBufferBindingSize,
    workgroupBytes: gpu.limits.maxComputeWorkgroupStorageSize,
    workgroupThreads: gpu.limits.maxComputeInvocationsPerWorkgroup,
    maxStorageBuffers: gpu.limits.maxStorageBuffersPerShaderStage,
  };
  const driver = driverOf(described, gpu.features), notes = await readNotes(name, driver, options.cache);
  const device = new Device(gpu, name, profile, await subgroupsDirective(gpu), driver);
  if (notes) device.choose({ avoid: notes.avoid, products: tuning === "none" ? {} : notes.shapes });
  if (notes) warnOfWrong(notes);
  return device;
}

let shared: Promise<Device> | undefined;

/** The device that tensors use, opened on first need. */
export function defaultDevice(): Promise<Device> {
  return shared ??= openDevice();
}

/** Makes `device` the one that tensors use from now on. */
export function setDefaultDevice(device: Device): void {
  shared = Promise.resolve(device);
}
