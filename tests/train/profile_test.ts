import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { defaultDevice } from "../../src/gpu/device.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { kernelTotals, profileOnce, profileTable, profileTrace } from "../../src/train/profile.ts";
import { testWhere } from "../testing/where.ts";

const times = [
  { name: "add", start: 0, nanoseconds: 1e6, flop: 0, bytes: 4e6 },
  { name: "matmul", start: 1e6, nanoseconds: 4e6, flop: 2e8, bytes: 1e6 },
  { name: "add", start: 6e6, nanoseconds: 2e6, flop: 0, bytes: 4e6 },
];

Deno.test("kernelTotals() adds up the runs of a kernel and puts the longest first", () => {
  assertEquals(kernelTotals(times), [
    { name: "matmul", calls: 1, nanoseconds: 4e6, flop: 2e8, bytes: 1e6 },
    { name: "add", calls: 2, nanoseconds: 3e6, flop: 0, bytes: 8e6 },
  ]);
});

Deno.test("profileTable() shows shares, GFLOP/s and GB/s", () => {
  assertEquals(profileTable(times).trimEnd().split("\n"), [
    "        ms  share calls  GFLOP/s    GB/s  kernel",
    "     4.000  57.1%     1     50.0     0.3  matmul",
    "     3.000  42.9%     2      0.0     2.7  add",
    "     7.000   100%     3     28.6     1.3  all",
  ]);
});

Deno.test("profileTrace() is one complete event per kernel, in microseconds", () => {
  const { traceEvents } = JSON.parse(profileTrace(times));
  assertEquals(traceEvents.map((e: { ph: string; ts: number; dur: number }) => [e.ph, e.ts, e.dur]), [
    ["X", 0, 1000],
    ["X", 1000, 4000],
    ["X", 6000, 2000],
  ]);
  assertAlmostEquals(traceEvents[1].args["GFLOP/s"], 50);
});

const timed = (await defaultDevice()).gpu.features.has("timestamp-query");
const title = "profileOnce() writes a profile and leaves a run with donated state as it is";
testWhere(timed, "the adapter has no time stamps", title, async () => {
  const dir = await Deno.makeTempDir();
  const step = () => compile((x: Tensor) => add(multiply(x, 0.5), sum(x)), { donate: [0] });
  const run = async (fn: ReturnType<typeof step>): Promise<unknown> => {
    let x = await toDevice(tensor([1, 2, 3, 4, 5]));
    for (let i = 0; i < 4; i++) x = await fn(x);
    return await toHost(x);
  };
  try {
    const path = `${dir}/new/step`; // its folder is made: a run must not end for want of it
    assertEquals(await run(profileOnce(step(), path)), await run(step()));
    assertStringIncludes(await Deno.readTextFile(`${path}.txt`), "sum/rows");
    const { traceEvents } = JSON.parse(await Deno.readTextFile(`${path}.json`));
    assert(traceEvents.length >= 2);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
