/** Loaded before tests: adapters refuse subgroups, as some do. */
const request = GPUAdapter.prototype.requestDevice;

GPUAdapter.prototype.requestDevice = function (descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> {
  const asked = [...descriptor?.requiredFeatures ?? []] as string[];
  if (asked.includes("subgroups")) return Promise.reject(new TypeError("no subgroups"));
  return request.call(this, descriptor);
};
