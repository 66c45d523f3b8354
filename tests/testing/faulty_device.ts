/** Devices that fail when a test says so. */
import type { Device } from "../../src/gpu/device.ts";

/** From now on the device has no memory beyond `bytes`, as an adapter that others use too. */
export function capMemory(device: Device, bytes: number): void {
  const { gpu } = device, createBuffer = gpu.createBuffer.bind(gpu), popErrorScope = gpu.popErrorScope.bind(gpu);
  let refused = 0;
  Object.assign(gpu, {
    createBuffer: (descriptor: GPUBufferDescriptor) => {
      if (device.memory.bytes + descriptor.size > bytes) refused++;
      return createBuffer(descriptor);
    },
    popErrorScope: async () => {
      const error = await popErrorScope();
      if (error || !refused) return error;
      refused--;
      return new GPUOutOfMemoryError("Not enough memory left");
    },
  });
}
