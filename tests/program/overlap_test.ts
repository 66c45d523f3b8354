import { assertEquals } from "@std/assert";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { concat, slice } from "../../src/ops/shape.ts";
import { compile, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import type { BufferRef } from "../../src/program/lowering.ts";
import { placeholder, type Program } from "../../src/program/program.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { randomTensor } from "../testing/reference.ts";

/** Names of the kernels that bind ranges of one value which overlap: browsers refuse them. */
function overlapping({ plan }: Program): string[] {
  const range = (b: BufferRef) => {
    let start = b.offset, value = b.value;
    for (let p = plan.slots[value]!.parent; p; p = plan.slots[value]!.parent) start += p.offset, value = p.slot;
    return { value, start, end: start + b.bytes };
  };
  return plan.steps.filter(({ bindings }) => {
    const ranges = bindings.flatMap((b) => "words" in b ? [] : [range(b)]);
    return ranges.some((a, i) =>
      ranges.some((b, j) => j < i && a.value === b.value && a.start < b.end && b.start < a.end)
    );
  }).map((d) => d.name);
}

const f32 = (...shape: number[]) => placeholder({ shape, dtype: "f32" });

const N = 64; // rows of 256 bytes, so that slices of rows are bound where they are

/** The first rows of x x for x [N, N]. */
function square({ data: x }: Values, rows = N): number[] {
  return Array.from({ length: rows * N }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < N; k++) sum += x[at - at % N + k]! * x[k * N + at % N]!;
    return sum;
  });
}

const programs: [string, (x: Tensor) => Tensor, (x: Values) => ArrayLike<number>][] = [
  ["both factors of a product", (x) => matmul(x, x), (x) => square(x)],
  [
    "a factor and what is added to the product",
    (x) => add(matmul(x, x), x),
    (x) => square(x).map((v, i) => v + x.data[i]!),
  ],
  ["both parts of a concatenation", (x) => {
    const y = multiply(x, 2);
    return concat([y, y], 0);
  }, ({ data }) => [...data, ...data].map((v) => 2 * v)],
  [
    "slices that share rows",
    (x) => multiply(slice(x, 0, 0, 48), slice(x, 0, 16, N)),
    ({ data }) => Array.from({ length: 48 * N }, (_, i) => data[i]! * data[i + 16 * N]!),
  ],
  ["a value and its part", (x) => matmul(slice(x, 0, 0, 8), x), (x) => square(x, 8)],
];

for (const [name, fn, reference] of programs) {
  Deno.test(`no kernel binds a range twice: ${name}`, async () => {
    await checkOp(fn, [randomTensor([N, N], 1)], reference);
    assertEquals(overlapping(await compile(fn).program(f32(N, N))), []);
  });
}

Deno.test("one tensor as two arguments and as a captured value has its value in all of them", async () => {
  const x = await toDevice(tensor([1, 2, 3, 4], [2, 2]));
  const sum = compile((a: Tensor, b: Tensor) => add(add(matmul(a, b), x), b));
  for (let run = 0; run < 2; run++) assertEquals([...await toHost(await sum(x, x))], [9, 14, 21, 30]);
});
