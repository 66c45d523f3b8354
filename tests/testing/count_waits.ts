/** How often JavaScript waits for the GPU. */

/** Calls of `mapAsync` and `onSubmittedWorkDone`, the only ways to wait for the GPU, while `run` runs. */
export async function countWaits(run: () => Promise<unknown>): Promise<number> {
  const { mapAsync } = GPUBuffer.prototype, { onSubmittedWorkDone } = GPUQueue.prototype;
  let waits = 0;
  GPUBuffer.prototype.mapAsync = function (...args) {
    waits++;
    return mapAsync.apply(this, args);
  };
  GPUQueue.prototype.onSubmittedWorkDone = function () {
    waits++;
    return onSubmittedWorkDone.apply(this);
  };
  try {
    await run();
  } finally {
    GPUBuffer.prototype.mapAsync = mapAsync;
    GPUQueue.prototype.onSubmittedWorkDone = onSubmittedWorkDone;
  }
  return waits;
}
