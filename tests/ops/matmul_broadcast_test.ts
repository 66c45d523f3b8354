import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { matmul, type MatmulAttrs } from "../../src/ops/matmul.ts";
import { broadcastShapes } from "../../src/ops/_broadcast.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import { sizeOf, type Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";
import { assertClose, randomTensor, testOnEachKind } from "../testing/reference.ts";

type Options = Partial<MatmulAttrs>;

/** Elements of the batch `z` of `shape`, in x whose batch axes broadcast to it. */
function offset(x: readonly number[], batch: readonly number[], z: number): number {
  let at = 0, stride = sizeOf(x.slice(-2));
  for (let back = 1; back <= batch.length; back++) {
    const length = batch.at(-back)!, own = x.slice(0, -2).at(-back) ?? 1;
    at += (own === 1 ? 0 : z % length) * stride;
    stride *= own;
    z = Math.floor(z / length);
  }
  return at;
}

/** `numpy.matmul` of float64 matrices. */
function reference(a: Values, b: Values, { transposeA = false, transposeB = false }: Options = {}): Float64Array {
  const row = a.shape.length === 1, column = b.shape.length === 1;
  const x = row ? [1, ...a.shape] : a.shape, y = column ? [...b.shape, 1] : b.shape;
  const ta = transposeA && !row, tb = transposeB && !column;
  const m = x.at(ta ? -1 : -2)!, k = x.at(ta ? -2 : -1)!, n = y.at(tb ? -2 : -1)!;
  const batch = broadcastShapes("the reference", [x.slice(0, -2), y.slice(0, -2)]);
  return Float64Array.from({ length: sizeOf(batch) * m * n }, (_, i) => {
    const c = i % n, r = Math.floor(i / n) % m, z = Math.floor(i / (m * n));
    const atA = offset(x, batch, z), atB = offset(y, batch, z);
    let total = 0;
    for (let j = 0; j < k; j++) {
      total += a.data[atA + (ta ? j * m + r : r * k + j)]! * b.data[atB + (tb ? c * k + j : j * n + c)]!;
    }
    return total;
  });
}

/** Operands that no longer have to be brought into the same shape by hand, and the shape of their product. */
const cases: [a: number[], b: number[], result: number[]][] = [
  [[4], [4], []],
  [[3, 4], [4], [3]],
  [[4], [4, 5], [5]],
  [[2, 3, 4], [4], [2, 3]],
  [[4], [2, 3, 4, 5], [2, 3, 5]],
  [[3, 4], [2, 4, 5], [2, 3, 5]],
  [[1, 3, 4], [2, 4, 5], [2, 3, 5]],
  [[2, 3, 4], [1, 1, 4, 5], [1, 2, 3, 5]],
  [[2, 1, 3, 4], [5, 4, 2], [2, 5, 3, 2]],
  [[2, 1, 3, 4], [2, 3, 4, 1], [2, 3, 3, 1]],
  [[7, 3, 4], [1, 7, 4, 5], [1, 7, 3, 5]],
];

const swapped = (shape: number[]): number[] =>
  shape.length < 2 ? shape : [...shape.slice(0, -2), ...shape.slice(-2).reverse()];

testOnEachKind("matmul() broadcasts batches and takes vectors in all layouts", async (device) => {
  for (const [a, b, result] of cases) {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const options = { transposeA, transposeB };
        const x = randomTensor(transposeA ? swapped(a) : a, 1), y = randomTensor(transposeB ? swapped(b) : b, 2);
        const run = compile((x: Tensor, y: Tensor) => matmul(x, y, options), { device });
        const got = await run(tensor(x.data, x.shape), tensor(y.data, y.shape));
        assertEquals(got.shape, result);
        const [u, v] = [x, y].map((t) => ({ data: Float64Array.from(t.data), shape: t.shape })) as [Values, Values];
        assertClose(await toHost(got), reference(u, v, options));
        run.destroy();
      }
    }
  }
});

Deno.test("matmul() that broadcasts has the right gradients", async () => {
  for (const [i, [a, b]] of cases.entries()) {
    // Every case in one of the layouts, every layout in some cases.
    const options = { transposeA: i % 2 === 1, transposeB: Math.floor(i / 2) % 2 === 1 };
    const x = randomTensor(options.transposeA ? swapped(a) : a, 3),
      y = randomTensor(options.transposeB ? swapped(b) : b, 4);
    await checkOp((x, y) => matmul(x, y, options), [x, y], (x, y) => reference(x!, y!, options), {
      edges: i % 4 === 0 ? {} : "one case of each layout is enough",
    });
  }
  // A batch that shares a second matrix, whose own rows are stored as columns.
  const options = { transposeA: true };
  const inputs = [randomTensor([3, 4, 2], 5), randomTensor([4, 5], 6)];
  await checkOp((x, y) => matmul(x, y, options), inputs, (x, y) => reference(x!, y!, options));
});

/** Kernels of the product and its gradients, without variants. */
async function kernels(
  a: number[],
  b: number[],
  options: Options = {},
): Promise<[forward: string[], backward: string[]]> {
  const names = async (f: (x: Tensor, y: Tensor) => Tensor | Tensor[]): Promise<string[]> => {
    const program = await compile(f).program(placeholder(a), placeholder(b));
    return program.plan.steps.map(({ name }) => name.replace(/^matmul [\w ]+/, "matmul"));
  };
  const gradients = grad((p: Tensor[]) => sum(matmul(p[0]!, p[1]!, options)));
  return [await names((x, y) => matmul(x, y, options)), await names((x, y) => gradients([x, y]))];
}

Deno.test("matmul() of equal batches or a shared second matrix is one kernel, and its gradients are two", async () => {
  for (const [a, b] of [[[2, 3], [3, 4]], [[5, 2, 3], [5, 3, 4]], [[5, 2, 3], [3, 4]]] as const) {
    for (const transposeB of [false, true]) {
      const [forward, backward] = await kernels([...a], transposeB ? swapped([...b]) : [...b], { transposeB });
      assertEquals(forward, ["matmul"]);
      assertEquals(backward.filter((name) => name.startsWith("matmul")).length, 2);
      assertEquals(backward.filter((name) => /sum|transpose/.test(name)), []);
    }
  }
});

Deno.test("matmul() copies no operand whose batch is 1", async () => {
  for (
    const [a, b] of [[[3, 4], [7, 4, 5]], [[1, 3, 4], [2, 7, 4, 5]], [[2, 7, 3, 4], [1, 1, 4, 5]], [[4], [7, 4, 5]]]
  ) {
    assertEquals((await kernels(a!, b!))[0], ["matmul"], `[${a}] x [${b}]`);
  }
});

Deno.test("matmul() names batches and vectors that do not fit", async () => {
  const product = (a: number[], b: number[]) => () => matmul(placeholder(a), placeholder(b));
  await assertRefused(
    [
      product([2, 3, 4], [3, 4, 5]),
      "Cannot multiply matrices f32[2,3,4] and f32[3,4,5]: the batch axes must be equal or 1: they are [2] and [3]",
    ],
    [product([3], [4, 5]), "the inner axes must be equal: they are 3 and 4"],
    [product([], [4, 5]), "Cannot multiply matrices f32[] and f32[4,5]: both must have at least 1 axis"],
  );
});
