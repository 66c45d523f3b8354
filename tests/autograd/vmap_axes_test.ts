import { assert, assertEquals, assertThrows } from "@std/assert";
import { grad, valueAndGrad } from "../../src/autograd/grad.ts";
import { type BatchAxes, vmap } from "../../src/autograd/vmap.ts";
import { attention } from "../../src/ops/attention.ts";
import { add, multiply, square, subtract } from "../../src/ops/elementwise.ts";
import { dot, outer } from "../../src/ops/dot.ts";
import { dropout, randomKey, uniform } from "../../src/ops/random.ts";
import { sum } from "../../src/ops/reduce.ts";
import { reshape, slice } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder } from "../testing/run_op.ts";
import { randomTensor } from "../testing/reference.ts";

const lists = async (tensors: readonly Tensor[]): Promise<number[][]> => (await toHost(tensors)).map((d) => [...d]);

type Params = { w: Tensor; b: Tensor };

/** (w . x + b - y)^2: gradients 2 e x and 2 e. */
const loss = ({ w, b }: Params, { x, y }: { x: Tensor; y: Tensor }): Tensor => square(subtract(add(dot(w, x), b), y));

Deno.test("gradients by example: of parameters that are the same for all, in one program", async () => {
  const f = compile((p: Params, batch: { x: Tensor; y: Tensor }) => {
    const [losses, each] = vmap(valueAndGrad(loss), { in: [null, 0] })(p, batch);
    const total = grad((own: Params) => sum(vmap(loss, { in: [null, 0] })(own, batch)))(p);
    return [losses, each.w, each.b, total.w, total.b];
  });
  const batch = { x: tensor([[1, 2], [3, -1], [0, 1]]), y: tensor([1, 0, 2]) };
  const results = await lists(await f({ w: tensor([2, 1]), b: tensor(1) }, batch)); // errors 4, 6, 0
  assertEquals(results, [[16, 36, 0], [8, 16, 36, -12, 0, 0], [8, 12, 0], [44, 4], [20]]);
});

Deno.test("axes are given for parts of trees, from the end, and for results", async () => {
  const f = (p: { a: Tensor; parts: Tensor[] }, scale: number) => ({
    first: multiply(p.a, multiply(p.parts[0]!, scale)),
    rest: [p.parts[1]!, square(p.a)],
  });
  const p = { a: tensor([[1, 2, 3], [4, 5, 6]]), parts: [tensor([10, 100]), tensor([7, 8])] };
  const axes: BatchAxes = { a: -1, parts: [null, null] };
  const mapped = vmap(f, { in: [axes, null], out: { first: 1, rest: [null, 0] } })(p, 2);
  assertEquals(mapped.first.shape, [2, 3]);
  assertEquals(mapped.rest.map((t) => t.shape), [[2], [3, 2]]);
  assertEquals(await lists([mapped.first, ...mapped.rest]), [[20, 40, 60, 800, 1000, 1200], [7, 8], [
    1,
    16,
    4,
    25,
    9,
    36,
  ]]);
  const same = vmap((x: Tensor) => [add(x, 1), tensor([5, 6])])(tensor([1, 2, 3]));
  assertEquals(await lists(same), [[2, 3, 4], [5, 6, 5, 6, 5, 6]]);
});

Deno.test("vmap() in vmap() has two axes, and sees what is closed over", async () => {
  const table = vmap((x: Tensor) => vmap((y: Tensor) => multiply(add(x, y), x))(tensor([10, 20, 30])))(tensor([1, 2]));
  assertEquals(table.shape, [2, 3]);
  assertEquals(await lists([table]), [[11, 21, 31, 24, 44, 64]]);
  const crossed = vmap((x: Tensor, y: Tensor) => vmap((a: Tensor) => outer(a, y), { in: 1, out: 2 })(x));
  const x = randomTensor([2, 3, 4], 1), y = randomTensor([2, 5], 2);
  const [result] = await toHost([crossed(tensor(x.data, x.shape), tensor(y.data, y.shape))]);
  const at = (n: number, i: number, j: number, k: number) =>
    Math.fround(x.data[(n * 3 + i) * 4 + k]! * y.data[n * 5 + j]!);
  let place = 0;
  for (let n = 0; n < 2; n++) {
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 5; j++) for (let k = 0; k < 4; k++) assertEquals(result![place++], at(n, i, j, k));
    }
  }
});

Deno.test("random numbers of one key are the same for all elements, of other keys others; ops without a rule run one by one", async () => {
  const key = tensor(Uint32Array.of(1, 2)), keys = tensor(Uint32Array.of(1, 2, 3, 4), [2, 2]);
  const x = tensor(new Float32Array(16).fill(1), [2, 8]);
  const one = vmap((v: Tensor) => dropout(v, 0.5, randomKey(key)))(x);
  const other = vmap((k: Tensor) => uniform(randomKey(k), [8]))(keys);
  const [a, b, c] = await lists([one, other, uniform(randomKey(key), [8])]);
  assertEquals(a!.slice(0, 8), a!.slice(8));
  assertEquals(b!.slice(0, 8), c);
  assert(b!.slice(8).every((v, i) => v !== c![i]));
  const q = randomTensor([3, 1, 4, 4], 5), whole = tensor(q.data, q.shape);
  const dropped = (v: Tensor) => attention(v, v, v, { heads: 1, dropout: { probability: 0.4, key, stream: 1 } });
  const each = [0, 1, 2].map((i) => dropped(reshape(slice(whole, 0, i, i + 1), [1, 4, 4])));
  const [batched, ...single] = await lists([vmap(dropped)(whole), ...each]);
  assertEquals(batched, single.flat());
});

Deno.test("what cannot be a batch is refused in a sentence", () => {
  const x = placeholder([2, 3]), y = placeholder([4]), product = (a: Tensor, b: Tensor) => multiply(sum(a), sum(b));
  assertThrows(
    () => vmap(product)(x, y),
    RangeError,
    "axes of the batch must be equally long: that of argument 0 is 2, that of argument 1 is 4",
  );
  assertThrows(
    () => vmap(product, { in: null })(x, y),
    RangeError,
    "at least one argument must have an axis of the batch",
  );
  assertThrows(() => vmap(product, { in: [0] })(x, y), RangeError, "argument 1 has none");
  assertThrows(
    () => vmap(product, { in: [2, null] })(x, y),
    RangeError,
    "axis 2 must be one of argument 0: that is f32[2,3]",
  );
  assertThrows(
    () => vmap(product, { in: [0, null], out: null })(x, y),
    RangeError,
    "the result must be the same for the whole batch",
  );
  assertThrows(
    () => vmap(product, { in: [0, null], out: 1 })(x, y),
    RangeError,
    "the axis of the result must be from -1 to 0: it is 1",
  );
  const tree = (p: { a: Tensor; b: Tensor }) => product(p.a, p.b);
  assertThrows(
    () => vmap(tree, { in: [{ a: 0 }] })({ a: x, b: y }),
    RangeError,
    "there must be an axis for argument 0.b",
  );
});
