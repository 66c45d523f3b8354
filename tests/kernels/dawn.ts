/**
 * Compiles kernels with Dawn, Chromium's WebGPU, on a device without hardware and with the limits that WebGPU guarantees, no
 * more: `dawn.ts KERNELS`. What its validation or Tint refuses is an error. Prints what compile.ts does.
 *
 * npm:webgpu is Dawn as its authors build it for Node.
 */
import { Device } from "../../src/gpu/device.ts";
import { compileAll, type Kernels } from "./compile.ts";
import { GUARANTEED } from "./collect.ts";

/** What is used of npm:webgpu. */
interface Dawn {
  create(options: readonly string[]): GPU;
  readonly globals: object;
}

// Not a literal, so that checking types does not install 51 MB.
const dawn = "npm:webgpu@0.6.2";
const { create, globals }: Dawn = await import(dawn);
Object.assign(globalThis, globals);
const instance = create(["backend=null"]); // devices need it to stay
const adapter = (await instance.requestAdapter())!;
const features = ["shader-f16", "subgroups"] as GPUFeatureName[];
const gpu = await adapter.requestDevice({ requiredFeatures: features });
const profile = {
  ...GUARANTEED,
  subgroups: true,
  subgroupSize: 0,
  f16: true,
  alignment: 256,
  maxBindingBytes: gpu.limits.maxStorageBufferBindingSize,
};
const kernels: Kernels = JSON.parse(await Deno.readTextFile(Deno.args[0]!));
await compileAll(new Device(gpu, "Dawn without hardware", profile, "enable subgroups; "), kernels, () => []);
Deno.exit(0);
