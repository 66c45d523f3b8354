/**
 * What a submission of nothing costs in process memory, with none of our code: a JavaScript wrapper is small to V8, which therefore waits
 * long with its full collection, and what the wrapper holds outside of V8's heap lies there until then. After 40,000 or so it
 * collects, and memory is reused; with `--expose-gc` it is collected every 1,000 submissions instead.
 *
 *     deno run --allow-env [--v8-flags=--expose-gc] tests/bench/submits.ts [100000]
 */
const total = Number(Deno.args[0] ?? 100_000), { gc } = globalThis as { gc?: () => void };
const adapter = await navigator.gpu.requestAdapter();
if (!adapter) throw new Error("There is no WebGPU adapter to submit to");
const device = await adapter.requestDevice(), megabytes: number[] = [];
for (let i = 1; i <= total; i++) {
  device.queue.submit([device.createCommandEncoder().finish()]);
  if (i % 50 === 0) await device.queue.onSubmittedWorkDone();
  if (i % 1000 === 0) gc?.();
  if (i % Math.ceil(total / 10) === 0) megabytes.push(Math.round(Deno.memoryUsage().rss / 1e5) / 10);
}
console.log(
  JSON.stringify({ submissions: total, collected: gc !== undefined, adapter: adapter.info.description, megabytes }),
);
device.destroy();
