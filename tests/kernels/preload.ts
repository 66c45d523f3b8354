/**
 * `deno test --preload preload.ts FILES`: tests run on the adapter at hand as on a GPU of the guaranteed limits, and every kernel of
 * this class that they ask for is written as a line of JSON to the file that KERNELS_FILE names.
 */
import { Device } from "../../src/gpu/device.ts";
import { collected, GUARANTEED, openGpuClass } from "./collect.ts";

const file = Deno.env.get("KERNELS_FILE")!, seen = new Set<string>(), { pipeline } = Device.prototype;

Device.prototype.pipeline = function (source): Promise<GPUComputePipeline> {
  const { workgroupBytes, kind } = this.profile;
  if (kind === "gpu" && workgroupBytes <= GUARANTEED.workgroupBytes && !seen.has(source.code)) {
    Deno.writeTextFileSync(file, JSON.stringify(collected(source)) + "\n", { append: true, create: true });
    seen.add(source.code);
  }
  return pipeline.call(this, source);
};

await openGpuClass();
