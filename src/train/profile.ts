/**
 * Times of kernels for people and for trace viewers.
 *
 * @module
 */
import { writeFileAtomic } from "../io/atomic.ts";
import { makeFolderOf } from "../io/files.ts";
import type { Compiled } from "../program/compile.ts";
import type { KernelTime } from "../program/program.ts";
import type { Tree } from "../program/tree.ts";

/** All runs of one kernel together. */
export interface KernelTotal {
  readonly name: string;
  readonly calls: number;
  readonly nanoseconds: number;
  readonly flop: number;
  readonly bytes: number;
}

/** Times by kernel, the longest first. */
export function kernelTotals(times: readonly KernelTime[]): KernelTotal[] {
  const totals = new Map<string, KernelTotal>();
  for (const { name, nanoseconds, flop, bytes } of times) {
    const t = totals.get(name) ?? { name, calls: 0, nanoseconds: 0, flop: 0, bytes: 0 };
    totals.set(name, {
      name,
      calls: t.calls + 1,
      nanoseconds: t.nanoseconds + nanoseconds,
      flop: t.flop + flop,
      bytes: t.bytes + bytes,
    });
  }
  return [...totals.values()].sort((a, b) => b.nanoseconds - a.nanoseconds);
}

/**
 * Times by kernel as a table: milliseconds, share, calls, speed. Bytes are those of all bindings, so GB/s is what a kernel
 * that touches each of them once would have moved.
 */
export function profileTable(times: readonly KernelTime[]): string {
  const totals = kernelTotals(times), all = totals.reduce((n, t) => n + t.nanoseconds, 0);
  const line = (ms: string, share: string, calls: string, flops: string, bytes: string, name: string): string =>
    [ms.padStart(10), share.padStart(7), calls.padStart(6), flops.padStart(9), bytes.padStart(8), `  ${name}`].join("");
  const rate = (amount: number, nanoseconds: number): string => nanoseconds ? (amount / nanoseconds).toFixed(1) : "-";
  const rows = totals.map(({ name, calls, nanoseconds: ns, flop, bytes }) =>
    line((ns / 1e6).toFixed(3), `${(100 * ns / all).toFixed(1)}%`, `${calls}`, rate(flop, ns), rate(bytes, ns), name)
  );
  const flop = totals.reduce((n, t) => n + t.flop, 0), bytes = totals.reduce((n, t) => n + t.bytes, 0);
  return [
    line("ms", "share", "calls", "GFLOP/s", "GB/s", "kernel"),
    ...rows,
    line((all / 1e6).toFixed(3), "100%", `${times.length}`, rate(flop, all), rate(bytes, all), "all"),
  ].join("\n") + "\n";
}

/** Times in the Trace Event Format, which Perfetto and chrome://tracing show: one complete event per kernel, microseconds. */
export function profileTrace(times: readonly KernelTime[]): string {
  const events = times.map(({ name, start, nanoseconds, flop, bytes }) => ({
    name,
    ph: "X",
    pid: 0,
    tid: 0,
    ts: start / 1e3,
    dur: nanoseconds / 1e3,
    args: {
      flop,
      bytes,
      "GFLOP/s": nanoseconds ? flop / nanoseconds : 0,
      "GB/s": nanoseconds ? bytes / nanoseconds : 0,
    },
  }));
  return JSON.stringify({ displayTimeUnit: "ms", traceEvents: events });
}

/** Writes `path`.txt, the table, and `path`.json, the trace. Their folder is made if it is not there. */
export async function writeProfile(times: readonly KernelTime[], path: string): Promise<void> {
  await makeFolderOf(path);
  await writeFileAtomic(`${path}.txt`, profileTable(times));
  await writeFileAtomic(`${path}.json`, profileTrace(times));
}

/**
 * `fn` with one call profiled into `path`.txt and `path`.json: the third, when kernels are compiled and memory is warm. What the
 * calls compute stays the same; the profiled one waits for the GPU and is slower.
 */
export function profileOnce<A extends readonly Tree[], R extends Tree>(
  fn: Compiled<A, R>,
  path: string,
  number = 3,
): Compiled<A, R> {
  let calls = 0;
  const call = async (...args: A): Promise<R> => {
    if (++calls !== number) return await fn(...args);
    const { result, times } = await fn.profile(...args);
    await writeProfile(times, path);
    return result;
  };
  return Object.assign(call, { program: fn.program, profile: fn.profile, destroy: fn.destroy });
}
