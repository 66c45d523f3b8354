import { assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { argsort, argsortOp, sort } from "../../src/ops/sort.ts";
import { topK } from "../../src/ops/top_k.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import { eachRow, randomIds, randomTensor, testOnEachKind } from "../testing/reference.ts";

/** The stable order of a row, NaN last. */
function orderOf(row: ArrayLike<number>, descending: boolean): number[] {
  const compare = (a: number, b: number): number =>
    Number(Number.isNaN(a)) - Number(Number.isNaN(b)) || (a < b ? -1 : a > b ? 1 : 0) * (descending ? -1 : 1);
  return Array.from(row, (_, i) => i).sort((a, b) => compare(row[a]!, row[b]!) || a - b);
}

const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));
const ties = { edges: "the derivative jumps at equal elements: a test of its own has them" };

/** The fibres of a [3, 4, 5] tensor along an axis, each replaced by `f`. */
const fibres = (axis: number, f: (row: number[]) => number[]) => (x?: Values): number[] => {
  const n = x!.shape[axis]!,
    inner = x!.shape.slice(axis + 1).reduce((a, b) => a * b, 1),
    length = f(Array(n).fill(0)).length;
  const y: number[] = [];
  for (let o = 0; o < x!.data.length / n / inner; o++) {
    for (let c = 0; c < inner; c++) {
      const row = f(Array.from({ length: n }, (_, i) => x!.data[(o * n + i) * inner + c]!));
      row.forEach((v, i) => y[(o * length + i) * inner + c] = v);
    }
  }
  return y;
};

testOnEachKind("argsort is the stable order of rows of any length and type", async (device) => {
  for (
    const [rows, length] of [[1, 1], [3, 7], [5, 16], [4, 17], [2, 100], [3, 1031], [1, 5000], [70_000, 3]] as const
  ) {
    const few = randomTensor([rows, length], length, 4), random = randomTensor([rows, length], 1);
    const rounded = { ...few, data: (few.data as Float32Array).map((v) => Math.round(v)) }; // with -0
    const i32 = randomIds([rows, length], 2, -(2 ** 31), 2 ** 31, "i32");
    const u32 = randomIds([rows, length], 3, 0, 2 ** 32, "u32");
    for (const x of length === 3 ? [rounded] : [rounded, random, i32, u32]) {
      for (const descending of [false, true]) {
        const [y] = await runOp(argsortOp, [x], { descending }, device);
        const expected: number[] = [];
        for (let r = 0; r < rows; r++) {
          expected.push(...orderOf(x.data.slice(r * length, (r + 1) * length), descending));
        }
        assertEquals(Array.from(y!), expected);
      }
    }
  }
});

testOnEachKind("NaN is sorted last, in the order of its places, and infinities where they belong", async (device) => {
  for (const length of [6, 40, 1000]) {
    const data = Float32Array.from(randomTensor([length], length).data);
    data[0] = NaN, data[3] = Infinity, data[4] = -Infinity;
    new Uint32Array(data.buffer)[2] = 0xffc00001;
    for (const descending of [false, true]) {
      const [y] = await runOp(argsortOp, [{ data, shape: [1, length] }], { descending }, device);
      assertEquals(Array.from(y!), orderOf(data, descending));
      assertEquals(Array.from(y!.slice(-2)), [0, 2]);
    }
  }
});

Deno.test("sort() and argsort() work along any axis, with the right gradient", async () => {
  for (const axis of [0, 1, 2]) {
    for (const descending of [false, true]) {
      const x = randomTensor([3, 4, 5], axis + 1), options = { axis: axis - 3, descending };
      const values = fibres(axis, (row) => orderOf(row, descending).map((i) => row[i]!));
      await checkOp((a) => sort(a, options), [x], values, ties);
      const indices = fibres(axis, (row) => orderOf(row, descending))({
        data: Float64Array.from(x.data),
        shape: x.shape,
      });
      assertEquals(await host(argsort(tensor(x.data, x.shape), options)), indices);
    }
  }
});

Deno.test("the gradient of sort() goes to where elements came from, also of equal ones", async () => {
  const x = tensor([2, 1, 2, 1, 0, -0, NaN, 0], [2, 4]), w = tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]);
  assertEquals(await host(grad((a: Tensor) => sum(multiply(sort(a), w)))(x)), [3, 1, 4, 2, 5, 6, 8, 7]);
  assertEquals(await host(sort(tensor(Int32Array.of(3, -2, 7)), { descending: true })), [7, 3, -2]);
  const twice = (a: Tensor): Tensor => grad((v: Tensor) => sum(multiply(sort(v), multiply(sort(v), w))))(a);
  await checkOp(twice, [randomTensor([2, 4], 3)], (v) =>
    eachRow(v!.data, 4, (row, r) => {
      const places = orderOf(row, false);
      return row.map((e, i) => 2 * e * (1 + 4 * r + places.indexOf(i)));
    }), { edges: "at equal elements the derivative jumps" });
});

Deno.test("topK() works along any axis and on integers, with the right gradient; NaN comes first", async () => {
  for (const axis of [0, 1, 2]) {
    const x = randomTensor([3, 4, 5], axis + 4);
    const columns = (row: ArrayLike<number>): number[] => orderOf(row, true).slice(0, 2);
    await checkOp((a) => topK(a, 2, { axis })[0], [x], fibres(axis, (row) => columns(row).map((i) => row[i]!)), ties);
    const indices = fibres(axis, columns)({ data: Float64Array.from(x.data), shape: x.shape });
    assertEquals(await host(topK(tensor(x.data, x.shape), 2, { axis: axis - 3 })[1]), indices);
  }
  const cases = [Int32Array.of(5, -(2 ** 31), 2 ** 31 - 1, 5), Uint32Array.of(7, 2 ** 32 - 1, 0, 2 ** 32 - 1)];
  const expected = [[[2 ** 31 - 1, 5, 5, -(2 ** 31)], [2, 0, 3, 1]], [[2 ** 32 - 1, 2 ** 32 - 1, 7, 0], [1, 3, 0, 2]]];
  for (const [i, data] of cases.entries()) {
    for (const k of [1, 2, 4]) {
      const [values, indices] = topK(tensor(data), k);
      assertEquals([await host(values), await host(indices)], expected[i]!.map((v) => v.slice(0, k)));
      assertEquals(values.dtype, i === 0 ? "i32" : "u32");
    }
  }
  const picked = grad((a: Tensor) => sum(multiply(topK(a, 2)[0], tensor([1, 2]))))(tensor([3, 5, 5, 1, 5]));
  assertEquals(await host(picked), [0, 1, 2, 0, 0]); // of equal elements, those that were taken
  const x = new Float32Array([Infinity, NaN, 3, 0, 4, -Infinity]);
  new Uint32Array(x.buffer)[3] = 0xffc00000;
  assertEquals(await host(topK(tensor(x), 4)[1]), [1, 3, 0, 4]);
});

Deno.test("sort() and topK() refuse scalars and axes that do not exist", () => {
  assertThrows(() => sort(placeholder([])), RangeError, "Cannot apply sort: axis must be an integer");
  assertThrows(() => argsort(placeholder([2]), { axis: 1 }), RangeError, "from -1 to 0: axis is 1");
  assertThrows(
    () => topK(placeholder([2, 3]), 3, { axis: 0 }),
    RangeError,
    "k must be from 1 to the 2 columns: it is 3",
  );
});
