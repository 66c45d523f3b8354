import { defaultDevice, Device } from "../../src/gpu/device.ts";

/** The adapter at hand as if its kernels could bind as many buffers as a GPU's: for programs that are planned and not run. */
export async function roomyDevice(): Promise<Device> {
  const { gpu, adapter, profile, enableSubgroups } = await defaultDevice();
  return new Device(gpu, adapter, { ...profile, maxStorageBuffers: 16 }, enableSubgroups);
}
