/**
 * The adapter: which one is taken, what it says of itself, and a device of it.
 *
 * @module
 */

const requests: Readonly<Record<string, GPURequestAdapterOptions>> = {
  "high-performance": { powerPreference: "high-performance" },
  "low-power": { powerPreference: "low-power" },
  "software": { forceFallbackAdapter: true },
};

/**
 * The adapter of a name.
 *
 * @throws {RangeError} if there is no such name, {@linkcode Error} if WebGPU finds no adapter.
 */
export async function requestAdapter(choice = "high-performance"): Promise<GPUAdapter> {
  if (!(choice in requests)) {
    throw new RangeError(`Cannot open the adapter "${choice}": it must be one of ${Object.keys(requests).join(", ")}`);
  }
  const adapter = await globalThis.navigator.gpu?.requestAdapter(requests[choice]);
  if (adapter) return adapter;
  throw new Error(
    `Cannot open the adapter "${choice}": WebGPU found none; on Linux without a GPU install Mesa's software driver: ` +
      `apt-get install ${VULKAN_PACKAGES.join(" ")}`,
  );
}

/** Mesa's Vulkan drivers, that for CPUs among them, and what finds them, as Debian calls them. */
export const VULKAN_PACKAGES: readonly string[] = ["mesa-vulkan-drivers", "libvulkan1"];

/** What an adapter says of itself. */
export interface AdapterDescription {
  readonly name: string;
  /** Whether it computes on the CPU. */
  readonly kind: "cpu" | "gpu";
  /** Lanes of a subgroup where it is one fixed number, else 0. */
  readonly lanes: number;
}

/** Name, kind and lanes of an adapter. */
export function describeAdapter(info: GPUAdapterInfo): AdapterDescription {
  const names = [info.description, info.device, info.architecture, info.vendor].filter(Boolean);
  const software = info.isFallbackAdapter || /llvmpipe|swiftshader|lavapipe|basic render/i.test(names.join());
  return {
    name: names[0] ?? "unnamed adapter",
    kind: software ? "cpu" : "gpu",
    lanes: info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 0,
  };
}

/**
 * Whether Deno reaches an adapter through OpenGL. It does not say so; but of its backends only this one has no subgroups and gives
 * the least and the most that WebGPU knows, 4 to 128, for their size. (A browser may give these of any adapter.)
 */
export function isOpenGl(
  info: Pick<GPUAdapterInfo, "subgroupMinSize" | "subgroupMaxSize">,
  features: { has(feature: GPUFeatureName): boolean },
): boolean {
  const unknown = info.subgroupMinSize === 4 && info.subgroupMaxSize === 128;
  return !!globalThis.Deno && unknown && !features.has("subgroups" as GPUFeatureName);
}

/** What to know before computing through OpenGL, for people. Measured on llvmpipe: a step of the demo, and its compilation. */
export const OPENGL_COST = "steps take 2 to 5 times as long as through Vulkan, and kernels minutes to compile";

let warned = false;

/** Warns, once, of an adapter that is reached through OpenGL. */
export function warnOfOpenGl(adapter: string): void {
  if (warned) return;
  warned = true;
  console.warn(
    `WebGPU reaches "${adapter}" through OpenGL: ${OPENGL_COST}; install a Vulkan driver, on Debian: ` +
      `apt-get install ${VULKAN_PACKAGES.join(" ")}`,
  );
}

/**
 * A device with all limits of the adapter, or with exactly those that WebGPU guarantees: 8 storage buffers a kernel, 16 KiB of
 * workgroup memory, 256 invocations, bindings of 128 MiB, buffers of 256 MiB. Deno hides "subgroups" in `adapter.features` but grants
 * it, so it is probed by asking.
 *
 * @throws {RangeError} if there is no such choice.
 */
export async function requestDevice(adapter: GPUAdapter, limits = "adapter"): Promise<GPUDevice> {
  if (limits !== "adapter" && limits !== "guaranteed") {
    throw new RangeError(`Cannot open a device with the limits "${limits}": it must be one of adapter, guaranteed`);
  }
  const requiredLimits: Record<string, number> = {};
  for (const name in limits === "adapter" ? adapter.limits : {}) {
    const value = (adapter.limits as unknown as Record<string, number>)[name];
    if (typeof value === "number") requiredLimits[name] = value;
  }
  const optional = ["timestamp-query", "shader-f16"].filter((f) => adapter.features.has(f as GPUFeatureName));
  for (const features of [[...optional, "subgroups"], optional]) {
    try {
      return await adapter.requestDevice({ requiredFeatures: features as GPUFeatureName[], requiredLimits });
    } catch { /* without subgroups, then */ }
  }
  return await adapter.requestDevice();
}

/** Chromium wants a directive before kernels that use subgroups; Deno refuses it. On one line, so that line numbers hold. */
export async function subgroupsDirective(gpu: GPUDevice): Promise<string> {
  const directive = "enable subgroups; ";
  gpu.pushErrorScope("validation");
  gpu.createShaderModule({ code: `${directive}@compute @workgroup_size(8) fn main() { _ = subgroupAdd(1u); }` });
  return await gpu.popErrorScope() ? "" : directive;
}
