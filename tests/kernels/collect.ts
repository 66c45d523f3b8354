/** The kernels that `deno task kernels` compiles: those of a training step, and those that the op tests ask for. */
import { type Device, type DeviceProfile, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { configs } from "../../src/models/config.ts";
import { planStep } from "../../src/train/estimate.ts";
import { objectiveOf } from "../bench/step.ts";

/** A distinct kernel. */
export interface Collected {
  readonly name: string;
  /** Complete WGSL. */
  readonly code: string;
  /** Its bindings in order: "s" for storage, "u" for uniform. */
  readonly signature: string;
}

/** The limits that every WebGPU device has at least: what compiles within them compiles everywhere. */
export const GUARANTEED: Pick<DeviceProfile, "kind" | "workgroupBytes" | "workgroupThreads" | "maxStorageBuffers"> = {
  kind: "gpu",
  workgroupBytes: 16384,
  workgroupThreads: 256,
  maxStorageBuffers: 8,
};

/** Opens the adapter at hand as a GPU of the guaranteed limits and makes it the default. */
export async function openGpuClass(): Promise<Device> {
  const device = await openDevice({ kind: "gpu" });
  Object.assign(device.profile, GUARANTEED);
  setDefaultDevice(device);
  return device;
}

/** The kernels of a training step of GRIT, planned and not run. */
export async function stepKernels(name: keyof typeof configs, batch: number): Promise<Collected[]> {
  const device = await openGpuClass();
  const { programs } = await planStep(objectiveOf(configs[name], batch));
  device.close();
  return distinct(programs.flatMap((p) => p.plan.steps).map(collected));
}

/** What is kept of a dispatch. */
export function collected(
  { name, code, bindings }: Pick<Collected, "name" | "code"> & { bindings: readonly object[] },
): Collected {
  return { name, code, signature: bindings.map((b) => "words" in b ? "u" : "s").join("") };
}

/** The first kernel of each text. */
export function distinct(kernels: readonly Collected[]): Collected[] {
  const byCode = new Map<string, Collected>();
  for (const k of kernels) if (!byCode.has(k.code)) byCode.set(k.code, k);
  return [...byCode.values()];
}
