/**
 * `deno test --preload preload.ts FILES`: tests run on the adapter at hand as on a GPU of the guaranteed limits, and every kernel of
 * this class that they ask for is written as a line of JSON to the file that KERNELS_FILE names.
 */
import { Device } from "../../src/gpu/device.ts";
import { collected, GUARANTEED, openGpuClass } from "./collect.ts";

const file = Deno.env.get("KERNELS_FILE")!, seen = new Set<string>(), { pipeline } = Device.prototype;

// Devices that tests open themselves have the limits of their adapter. (8 buffers are guaranteed: attention's gradient binds 10, and llvmpipe takes a uniform for one more.)
const { get } = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "limits")!;
Object.defineProperty(GPUAdapter.prototype, "limits", {
  get(): Record<string, number> {
    const limits = get!.call(this), all: Record<string, number> = {};
    for (const name in limits) if (typeof limits[name] === "number") all[name] = limits[name];
    return {
      ...all,
      maxStorageBuffersPerShaderStage: 11,
      maxComputeWorkgroupStorageSize: GUARANTEED.workgroupBytes,
      maxComputeInvocationsPerWorkgroup: GUARANTEED.workgroupThreads,
    };
  },
});

Device.prototype.pipeline = function (source): Promise<GPUComputePipeline> {
  if (this.profile.kind === "gpu" && !seen.has(source.code)) {
    Deno.writeTextFileSync(file, JSON.stringify(collected(source)) + "\n", { append: true, create: true });
    seen.add(source.code);
  }
  return pipeline.call(this, source);
};

await openGpuClass();
