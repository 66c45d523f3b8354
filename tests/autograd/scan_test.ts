import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkpoint, customVjp, grad } from "../../src/autograd/grad.ts";
import { hessianVectorProduct } from "../../src/autograd/derivatives.ts";
import { scan } from "../../src/autograd/scan.ts";
import { vmap } from "../../src/autograd/vmap.ts";
import { add, cast, multiply, sigmoid, square, subtract, tanh } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { randomKey, uniform } from "../../src/ops/random.ts";
import { sum } from "../../src/ops/reduce.ts";
import { reshape, slice, stack } from "../../src/ops/shape.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, mapTree, type Tree } from "../../src/program/tree.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";

const lists = async (tensors: readonly Tensor[]): Promise<number[][]> => (await toHost(tensors)).map((d) => [...d]);

/** The same loop unrolled. */
function unrolled<C extends Tree, X extends Tree>(
  fn: (carry: C, x: X) => readonly [C, Tensor],
  init: C,
  xs: X,
  reverse = false,
): [C, Tensor] {
  const length = leaves(xs)[0]!.shape[0]!, ys: Tensor[] = [];
  let carry = init;
  for (let turn = 0; turn < length; turn++) {
    const at = reverse ? length - 1 - turn : turn;
    const [next, y] = fn(carry, mapTree(xs, (t) => reshape(slice(t, 0, at, at + 1), t.shape.slice(1))));
    carry = next;
    ys[at] = y;
  }
  return [carry, stack(ys)];
}

const looped: typeof unrolled = (fn, init, xs, reverse = false) => scan(fn, init, xs, { reverse });

type State = { h: Tensor; sum: Tensor };

/** A gated recurrent cell with a second carry, of weights that it closes over. */
const cell = (w: Tensor, u: Tensor) => ({ h, sum }: State, x: { a: Tensor; b: Tensor }): [State, Tensor] => {
  const z = add(matmul(h, w), matmul(x.a, u)), gate = sigmoid(add(z, x.b));
  const next = add(multiply(gate, h), multiply(subtract(1, gate), tanh(z)));
  return [{ h: next, sum: add(sum, multiply(h, 0.5)) }, softmax(add(next, x.b))];
};

for (const [width, reverse] of [[3, true], [64, false]] as const) { // rows that are not aligned, and rows that are
  Deno.test(`scan() equals the unrolled loop, with gradients of all it reads, width ${width}`, async () => {
    const shapes = [[width, width], [2, width], [1, width], [1, width], [5, 1, 2], [5, 1, width]];
    const p = shapes.map((shape, i) => tensor(randomTensor(shape, i + 1, 0.7).data, shape));
    const objective = (loop: typeof unrolled) => (p: Tensor[]): [Tensor, Tensor[]] => {
      const [w, u, h, s, a, b] = p as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
      const [last, ys] = loop(cell(multiply(w, 0.5), u), { h, sum: s }, { a, b }, reverse);
      return [add(sum(square(ys)), sum(multiply(last.h, last.sum))), [last.h, last.sum, ys]];
    };
    const both = await compile((p: Tensor[]) => [looped, unrolled].map((f) => grad(objective(f), { hasAux: true })(p)))(
      p,
    );
    const [found, wanted] = await Promise.all(both.map((results) => lists(leaves(results))));
    assertEquals(found!.length, 9);
    found!.forEach((values, i) => assertClose(values, wanted![i]!, 3e-6, 3e-6));
  });
}

Deno.test("second derivatives through scan(), and a batch of loops", async () => {
  const w = randomTensor([2, 2], 1), x = randomTensor([4, 2], 2), v = randomTensor([2, 2], 3);
  const f = (loop: typeof unrolled) => (w: Tensor, x: Tensor): Tensor => {
    const [last, ys] = loop(
      (h: Tensor, row: Tensor) => {
        const next = tanh(add(matmul(h, w), row));
        return [next, multiply(next, h)];
      },
      full([2], 0.3),
      x,
    );
    return add(sum(ys), sum(square(last)));
  };
  const both = await compile((w: Tensor, x: Tensor, v: Tensor, batch: Tensor) =>
    [looped, unrolled].map((loop) => [
      hessianVectorProduct(f(loop))(w, v, x),
      vmap(grad(f(loop)), { in: [null, 0] })(w, batch),
    ])
  )(
    ...[w, x, v].map((t) => tensor(t.data, t.shape)) as [Tensor, Tensor, Tensor],
    tensor([...x.data, ...x.data.map((n) => -n)], [2, 4, 2]),
  );
  const [found, wanted] = [await lists(both[0]!), await lists(both[1]!)];
  found.forEach((values, i) => assertClose(values, wanted[i]!, 3e-6, 3e-6));
});

Deno.test("vmap() of scan() is one loop, over states, elements and weights of the batch or the same for it", async () => {
  const f = (loop: typeof unrolled) => (h: Tensor, xs: Tensor, w: Tensor): Tensor[] => {
    const objective = (h: Tensor, xs: Tensor, w: Tensor): [Tensor, Tensor] => {
      const [last, ys] = loop((c: Tensor, x: Tensor) => [tanh(add(multiply(c, w), x)), multiply(c, x)], h, xs, true);
      return [sum(last), ys];
    };
    const [gradients, ys] = grad(objective, { argnums: [0, 1, 2], hasAux: true })(h, xs, w);
    return [...gradients, ys];
  };
  const tensors = (axes: readonly (number | null)[], size: number): Tensor[] =>
    axes.map((axis, i) => {
      const shape = [[2], [3, 2], [2]][i]!, whole = axis === null ? shape : shape.toSpliced(axis, 0, size);
      return tensor(randomTensor(whole, i + 1).data, whole);
    });
  for (const axes of [[0, 0, 0], [null, 1, null], [0, null, null], [null, null, 0]]) {
    const batched = (loop: typeof unrolled) =>
      compile((args: Tensor[]) => vmap(f(loop), { in: axes })(...args as [Tensor, Tensor, Tensor]));
    const [found, wanted] = await Promise.all(
      [looped, unrolled].map(async (loop) => lists(await batched(loop)(tensors(axes, 2)))),
    );
    found!.forEach((values, i) => assertClose(values, wanted![i]!, 3e-6, 3e-6));
    const steps = async (size: number) => (await batched(looped).program(tensors(axes, size))).plan.steps.length;
    assertEquals(await steps(3), await steps(7));
  }
});

Deno.test("a loop in a loop, with noise, a checkpoint and a rule of one's own inside", async () => {
  const key = randomKey(tensor(Uint32Array.of(3, 4))), scale = tensor([0.5, 2]);
  const cubed = customVjp(
    (a) => [multiply(a!, square(a!))],
    ([a], _, [ct]) => [multiply(ct!, multiply(square(a!), multiply(3, scale)))],
  );
  const f = (loop: typeof unrolled) => (w: Tensor, xs: Tensor): Tensor => {
    const inner = (h: Tensor, x: Tensor): [Tensor, Tensor] => {
      const next = checkpoint((a: Tensor, b: Tensor) => tanh(add(multiply(a, b), cubed(x)[0]!)))(h, w);
      return [next, add(next, uniform(key, [2]))];
    };
    const [last, ys] = loop(
      (h: Tensor, row: Tensor) => {
        const [end, all] = loop(inner, h, row);
        return [multiply(end, 0.9), sum(square(all))];
      },
      full([2], 0.2),
      xs,
    );
    return add(sum(ys), sum(last));
  };
  const w = tensor([0.7, -0.4]), xs = randomTensor([3, 2, 2], 5);
  const both = await compile((w: Tensor, xs: Tensor) =>
    [looped, unrolled].map((loop) => grad(f(loop), { argnums: [0, 1] })(w, xs))
  )(
    ...[w, tensor(xs.data, xs.shape)] as const,
  );
  const [found, wanted] = await Promise.all(both.map((gradients) => lists(gradients)));
  found!.forEach((values, i) => assertClose(values, wanted![i]!, 3e-6, 3e-6));
});

Deno.test("carries that are exchanged, handed on or counted, constant results, one element, no xs", async () => {
  const fibonacci = compile(() => {
    const [[a, b], ys] = scan(
      ([a, b]: Tensor[], _: Tensor[]) => [[b!, add(a!, b!)], { a: a!, one: full([2], 1) }] as const,
      [tensor(0), tensor(1)],
      [],
      { length: 10 },
    );
    return [a!, b!, ys.a, ys.one];
  });
  assertEquals(await lists(await fibonacci()), [[55], [89], [0, 1, 1, 2, 3, 5, 8, 13, 21, 34], Array(20).fill(1)]);
  const counted = scan(
    (c: { n: Tensor; same: Tensor }, x: Tensor) => [{ n: add(c.n, 1), same: c.same }, multiply(x, cast(c.n, "f32"))],
    { n: tensor(Int32Array.of(0)), same: tensor([7, 8]) },
    tensor([[10], [10], [10]]),
  );
  assertEquals(await lists([counted[0].n, counted[0].same, counted[1]]), [[3], [7, 8], [0, 10, 20]]);
  const [last, ys] = scan((c: Tensor, x: Tensor) => [x, c], tensor([1, 2]), tensor([[3, 4]]));
  assertEquals(await lists([last, ys]), [[3, 4], [1, 2]]);
});

Deno.test("a loop is compiled once: as many kernels as its body has, dispatched for each element", async () => {
  const f = compile((w: Tensor, xs: Tensor) =>
    grad((w: Tensor) =>
      sum(scan((h: Tensor, x: Tensor) => [tanh(add(matmul(h, w), x)), sum(h)], full([64], 0), xs)[1])
    )(w)
  );
  const plans = await Promise.all(
    [10, 100].map(async (n) => (await f.program(placeholder([64, 64]), placeholder([n, 64]))).plan),
  );
  const kernels = plans.map(({ steps }) => new Set(steps.map((s) => s.code)).size);
  assertEquals(kernels[0], kernels[1]);
  const perTurn = (plans[1]!.steps.length - plans[0]!.steps.length) / 90;
  assert(Number.isInteger(perTurn) && perTurn < 20, `${perTurn} dispatches for each element`);
  const forward = await compile((w: Tensor, xs: Tensor) =>
    scan((h: Tensor, x: Tensor) => [tanh(add(matmul(h, w), x)), sum(h)], full([64], 0), xs)[0]
  )
    .program(placeholder([64, 64]), placeholder([100, 64]));
  assert(
    forward.arenaBytes < 100 * 256,
    `carries are not kept where no gradient is taken: ${forward.arenaBytes} bytes`,
  );
});

Deno.test("scan() says what does not fit", () => {
  const x = placeholder([3, 2]);
  assertThrows(
    () => scan((c: Tensor, _: Tensor) => [sum(c), c], placeholder([2]), x),
    RangeError,
    "the next carry must be like the first, f32[2]: it is f32[]",
  );
  assertThrows(
    () => scan((c: Tensor, _: Tensor[]) => [c, c], x, [x, placeholder([4])]),
    RangeError,
    "xs must have one length",
  );
  assertThrows(() => scan((c: Tensor, _: Tensor) => [c, c], x, x, { length: 4 }), RangeError, "and length is 4");
  assertThrows(() => scan((c: Tensor, _: Tensor) => [c, c], placeholder([2], "f16"), x), TypeError, "one is f16[2]");
});
