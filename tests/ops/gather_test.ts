import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { gather, gatherOps, scatterAdd } from "../../src/ops/gather.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { type HostTensor, placeholder, runOp } from "../testing/run_op.ts";
import { assertClose, randomIds, randomTensor, testOnEachKind } from "../testing/reference.ts";

/** Sums of rows by id. */
function sumsById(
  x: ArrayLike<number>,
  ids: ArrayLike<number>,
  rows: number,
  width: number,
  padding = -1,
): Float64Array {
  const out = new Float64Array(rows * width);
  for (let n = 0; n < ids.length; n++) {
    if (ids[n]! === padding || ids[n]! < 0 || ids[n]! >= rows) continue;
    for (let c = 0; c < width; c++) out[ids[n]! * width + c]! += x[n * width + c]!;
  }
  return out;
}

testOnEachKind("gather copies rows of any 32-bit type", async (device) => {
  for (const [rows, width, shape] of [[1, 1, [1]], [7, 3, [5]], [64, 32, [3, 4]], [13, 260, [2, 1, 3]]] as const) {
    const table = randomTensor([rows, width], 1), ids = randomIds(shape, 2, 0, rows, "i32");
    const expected = Array.from(ids.data).flatMap((id) => Array.from(table.data.slice(id * width, (id + 1) * width)));
    const [y] = await runOp(gatherOps.gather, [table, ids], {}, device);
    assertEquals(Array.from(y!), expected);
  }
  const numbers: HostTensor = { data: Int32Array.of(-1, 5, 7), shape: [3], dtype: "i32" };
  const ids: HostTensor = { data: Uint32Array.of(2, 0), shape: [2], dtype: "u32" };
  assertEquals((await runOp(gatherOps.gather, [numbers, ids], {}, device))[0], Int32Array.of(7, -1));
});

testOnEachKind("scatterAdd adds rows up by id and fills the rest with 0", async (device) => {
  for (const [rows, width, count] of [[1, 1, 1], [5, 3, 40], [512, 128, 512], [3, 1031, 17], [2, 4200, 3]] as const) {
    const x = randomTensor([count, width], 3), ids = randomIds([count], 4, 0, rows, "i32");
    const [y] = await runOp(gatherOps.scatterAdd, [x, ids], { rows }, device);
    assertClose(y!, sumsById(x.data, ids.data, rows, width), 1e-6);
    const [again] = await runOp(gatherOps.scatterAdd, [x, ids], { rows }, device);
    assertEquals(y, again);
  }
});

testOnEachKind("scatterAdd leaves out the padding row and ids out of range", async (device) => {
  const x = randomTensor([3, 3, 8], 5);
  const ids: HostTensor = { data: Int32Array.of(0, 2, 1, 0, -1, 9, 0, 1, -1), shape: [3, 3], dtype: "i32" };
  const [y] = await runOp(gatherOps.scatterAdd, [x, ids], { rows: 3, paddingIndex: 0 }, device);
  assertClose(y!, sumsById(x.data, ids.data, 3, 8, 0), 1e-6);
});

testOnEachKind("scatterAdd of one id a thousand times is their sum", async (device) => {
  const x = randomTensor([1000, 20], 6, 1, 1), ids = randomIds([1000], 7, 3, 4, "u32");
  const [y] = await runOp(gatherOps.scatterAdd, [x, ids], { rows: 6 }, device);
  assertClose(y!, sumsById(x.data, ids.data, 6, 20), 2e-6);
});

Deno.test("gather() and scatterAdd() are the gradients of each other", async () => {
  for (const width of [3, 8]) {
    const ids = randomIds([2, 9], 1, 0, 5, "i32");
    const table = randomTensor([5, width], 2), rows = randomTensor([2, 9, width], 3);
    await checkOp((t, i) => gather(t, i), [table, ids], (t, i) => {
      return Array.from(i!.data).flatMap((id) => Array.from(t!.data.slice(id * width, (id + 1) * width)));
    });
    await checkOp((x, i) => scatterAdd(x, i, 5), [rows, ids], (x, i) => sumsById(x!.data, i!.data, 5, width));
  }
});

Deno.test("gather() gives the padding row no gradient", async () => {
  const table = tensor([1, 2, 3, 4]), ids = tensor(Int32Array.of(0, 1, 1, 3, 0));
  const gradient = compile((t: Tensor, i: Tensor) => grad((a: Tensor) => sum(gather(a, i, { paddingIndex: 0 })))(t));
  assertEquals(Array.from(await toHost(await gradient(table, ids))), [0, 2, 0, 1]);
});

Deno.test("gather() and scatterAdd() have the shapes of ids and rows", () => {
  const ids = placeholder([2, 5], "u32");
  assertEquals(gather(placeholder([9, 3, 4]), ids).shape, [2, 5, 3, 4]);
  assertEquals(scatterAdd(placeholder([2, 5, 3, 4]), ids, 9).shape, [9, 3, 4]);
  assertThrows(() => gather(placeholder([9, 3]), placeholder([2])), TypeError, "ids must be i32 or u32: it is f32");
  assertThrows(
    () => scatterAdd(placeholder([5, 3]), ids, 9),
    RangeError,
    "the rows must be f32[2,5,...]: it is f32[5,3]",
  );
});

testOnEachKind("scatterAdd() of more ids than a CPU adapter can loop over is told from a mistake", async (device) => {
  const f = compile((x: Tensor, ids: Tensor) => scatterAdd(x, ids, 4), { device });
  const planned = (count: number) => f.program(placeholder([count]), placeholder([count], "u32"));
  await planned(60_000);
  if (device.profile.kind === "gpu") return void await planned(60_001);
  await assertRejects(() => planned(60_001), UnsupportedError, "a CPU adapter takes at most 60000 ids");
  await assertRejects(() => planned(60_001), RangeError, "there are 60001");
});
