import { assertEquals, assertThrows } from "@std/assert";
import { ringUpdate, ringUpdateOp } from "../../src/ops/ring_update.ts";
import { compile, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import { Node } from "../../src/program/graph.ts";
import type { Dispatch, Lowering } from "../../src/program/lowering.ts";
import { type HostTensor, placeholder, runOp } from "../testing/run_op.ts";
import { deviceOfKind, randomTensor, testOnEachKind } from "../testing/reference.ts";

/** ringUpdateOp as a planner lowers it that gave result 0 the memory of input 0; result 0 then is the target. */
const sharedMemoryOp = {
  ...ringUpdateOp,
  lower: (ctx: Lowering, node: Node<void>) => {
    const inputs = [ctx.outputs[0]!, ...ctx.inputs.slice(1)];
    ringUpdateOp.lower!({ ...ctx, inputs }, node);
  },
};

function updated({ data, shape }: HostTensor, rows: HostTensor, start: number): number[] {
  const out = Array.from(data);
  const width = data.length / shape[0]!;
  Array.from(rows.data).forEach((v, i) => out[(start * width + i) % out.length] = v);
  return out;
}

const scalar = (value: number): HostTensor => ({ data: Uint32Array.of(value), shape: [1], dtype: "u32" });

testOnEachKind("ringUpdate replaces rows and goes round the end", async (device) => {
  for (const [length, width, count, start] of [[1, 1, 1, 0], [7, 3, 4, 5], [10, 8, 10, 3], [64, 12, 5, 130]] as const) {
    const target = randomTensor([length, width], 1), rows = randomTensor([count, width], 2);
    const [y] = await runOp(ringUpdateOp, [target, rows, scalar(start)], undefined, device);
    assertEquals(Array.from(y!), updated(target, rows, start));
  }
});

testOnEachKind("ringUpdate in shared memory writes the replaced rows only", async (device) => {
  for (const width of [3, 8]) {
    const target = randomTensor([9, width], 1), rows = randomTensor([4, width], 2);
    const [y] = await runOp(sharedMemoryOp, [target, rows, scalar(7)], undefined, device);
    // Rows 2 to 6 are still the poison that results start with.
    const kept = Array.from(y!.subarray(2 * width, 7 * width));
    assertEquals(kept.every(Number.isNaN), true);
    const expected = updated(target, rows, 7);
    assertEquals(Array.from(y!.subarray(0, 2 * width)), expected.slice(0, 2 * width));
    assertEquals(Array.from(y!.subarray(7 * width)), expected.slice(7 * width));
  }
});

Deno.test("ringUpdate in shared memory binds the target once", async () => {
  const target = { value: 0, offset: 0, bytes: 96, dtype: "f32" } as const;
  const dispatches: Dispatch[] = [];
  const node = new Node(ringUpdateOp, [placeholder([3, 8]), placeholder([1, 8]), placeholder([1], "u32")], undefined);
  const { profile } = await deviceOfKind("cpu");
  const inputs = [target, { ...target, value: 1, bytes: 32 }, { ...target, value: 2, bytes: 4 }];
  const rest = { device: profile, inputs, outputs: [target], dispatch: (d: Dispatch) => dispatches.push(d) };
  ringUpdateOp.lower!(rest as unknown as Lowering, node);
  assertEquals(dispatches.map((d) => d.bindings.filter((b) => b === target).length), [1]);
});

Deno.test("ringUpdate() of a donated queue keeps its memory", async () => {
  const push = compile(ringUpdate, { donate: [0] });
  let queue = await toDevice(tensor(new Float32Array(5 * 4), [5, 4]));
  const memory = queue.node.storage[0]!.buffer;
  for (let i = 0; i < 3; i++) {
    const rows = tensor(new Float32Array(8).fill(i + 1), [2, 4]);
    queue = await push(queue, rows, tensor(Uint32Array.of(2 * i)));
  }
  assertEquals(Array.from(await toHost(queue)), [3, 1, 2, 2, 3].flatMap((v) => Array(4).fill(v)));
  assertEquals(queue.node.storage[queue.index]!.buffer, memory);
  push.destroy();
});

Deno.test("ringUpdate() refuses more rows than the target has", () => {
  const start = placeholder([1], "u32");
  assertThrows(
    () => ringUpdate(placeholder([3, 8]), placeholder([4, 8]), start),
    RangeError,
    "at most as many rows as the target's 3",
  );
  assertThrows(
    () => ringUpdate(placeholder([3, 8]), placeholder([2, 7]), start),
    RangeError,
    "the rows must be f32[count,8]: it is f32[2,7]",
  );
});
