import { assertEquals, assertNotEquals } from "@std/assert";
import { foldIn, randomKey } from "../../src/ops/random.ts";
import { full } from "../../src/ops/full.ts";
import { sum } from "../../src/ops/reduce.ts";
import { concat, reshape, slice } from "../../src/ops/shape.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { compile, item, lazyTensor, tensor, toHost } from "../../src/program/compile.ts";
import { programKey } from "../../src/program/tree.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertRefused } from "../testing/refusals.ts";

Deno.test("a tensor keeps the values that its typed array had", async () => {
  const total = compile((x: Tensor) => sum(x)), buffer = new Float32Array(4), pending: Promise<Tensor>[] = [];
  for (const value of [1, 2, 3]) {
    buffer.fill(value);
    pending.push(total(tensor(buffer)));
  }
  assertEquals(await Promise.all((await Promise.all(pending)).map(item)), [4, 8, 12]);
  total.destroy();
});

Deno.test("writing to what toHost() gave does not change the tensor", async () => {
  const t = tensor([1, 2, 3]), values = await toHost(t);
  values.fill(9);
  assertEquals([...await toHost(t)], [1, 2, 3]);
  assertEquals([...await toHost(add(t, 0))], [1, 2, 3]);
});

Deno.test("with copy: false a tensor owns its typed array", async () => {
  const own = new Float32Array([1, 2]), t = tensor(own, [2], "f32", { copy: false });
  own[0] = 5;
  assertEquals([...await toHost(add(t, 0))], [5, 2]);
});

Deno.test("the values of a lazy tensor are made once, when they are needed, and its shape is known before", async () => {
  let made = 0;
  const t = lazyTensor([2, 2], "f32", () => Float32Array.from([1, 2, 3, 4 + made++]));
  const double = compile((x: Tensor) => multiply(x, 2));
  assertEquals([t.shape, t.dtype, t.size], [[2, 2], "f32", 4]);
  await double.program(t);
  assertEquals(made, 0);
  assertEquals([...await toHost(await double(t))], [2, 4, 6, 8]);
  assertEquals([...await toHost(add(t, 1))], [2, 3, 4, 5]);
  assertEquals([...await toHost(t)], [1, 2, 3, 4]);
  assertEquals(made, 1);
  double.destroy();
});

Deno.test("nested lists give their shape, in row-major order", async () => {
  const t = tensor([[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]]]);
  assertEquals(t.shape, [3, 2, 2]);
  assertEquals([...await toHost(add(t, 0))], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  assertEquals(tensor([[1, 2], [3, 4]], [4], "i32").shape, [4]);
});

Deno.test("numbers become f16 by value; a Uint16Array holds bits", async () => {
  assertEquals([...await toHost(multiply(tensor([1.5, -2, 1e9], [3], "f16"), 1))], [1.5, -2, Infinity]);
  assertEquals([...await toHost(multiply(tensor(Uint16Array.of(0x3e00, 0xc000)), 1))], [1.5, -2]);
});

Deno.test("integers are taken towards zero and refused beyond their type", async () => {
  assertEquals([...await toHost(tensor([1.9, -1.9, 2 ** 31 - 1], [3], "i32"))], [1, -1, 2 ** 31 - 1]);
  await assertRefused(
    [() => tensor([2 ** 40], [1], "i32"), "numbers of type i32 must lie from -2147483648 to 2147483647"],
    [() => tensor([-1], [1], "u32"), "numbers of type u32 must lie from 0 to 4294967295: one is -1"],
    [() => tensor([NaN], [1], "i32"), "one is NaN"],
    [() => full([2], 2 ** 40, "i32"), "the value must fit 32 bits"],
    [() => full([2], -1, "u32"), "the value must fit 32 bits"],
  );
});

Deno.test("host data that is no tensor is refused in a sentence", async () => {
  await assertRefused(
    [() => tensor([[1, 2], [3]]), "lists at one depth must have one shape: there are [2] and [1]"],
    [() => tensor([1, "2" as unknown as number]), "elements must be numbers: one is 2", TypeError],
    [() => tensor(new Int32Array(2), [2], "f32"), "f32 data must be a Float32Array", TypeError],
  );
});

Deno.test("a program belongs to the structure of its arguments, names with dots included", async () => {
  const x = tensor([1]);
  const trees = [{ "a.b": x }, { a: { b: x } }, [x], { 0: x }, [[x]], [x, x], { a: x }, x];
  assertEquals(new Set(trees.map((tree) => programKey(tree))).size, trees.length);
  const pick = compile((tree: Record<string, Tensor | Record<string, Tensor>>) =>
    "a.b" in tree ? add(tree["a.b"] as Tensor, 1) : add((tree.a as Record<string, Tensor>).b!, 2)
  );
  assertEquals(await item(await pick({ "a.b": x })), 2);
  assertEquals(await item(await pick({ a: { b: x } })), 3);
  pick.destroy();
});

Deno.test("a folded key is never the one it was folded from, and what cannot be folded in is refused", async () => {
  const key = randomKey(tensor(Uint32Array.of(1, 2)));
  for (const data of [0, 1, 2 ** 32 - 2]) assertNotEquals(foldIn(key, data).stream, key.stream);
  await assertRefused(
    [() => foldIn(key, -1), "Cannot fold -1 into a key: it must be a whole number from 0 to 4294967294"],
    [() => foldIn(key, 2 ** 32 - 1), "Cannot fold 4294967295"],
    [() => foldIn(key, 0.5), "Cannot fold 0.5"],
  );
});

Deno.test("axes and shapes that do not fit are refused in a sentence of their own", async () => {
  const six = tensor([1, 2, 3, 4, 5, 6]), one = compile((x: Tensor) => add(x, 1), { donate: [3] });
  await assertRefused(
    [() => reshape(six, [-1, 4]), "Cannot reshape [6] to [-1,4]: the other axes must divide its 6 elements"],
    [() => reshape(six, [-1, -1]), "only one may be -1"],
    [() => slice(six, 1, 0, 1), "Cannot apply slice: axis must be an integer from -1 to 0: axis is 1"],
    [() => concat([six, six], 1.5), "Cannot apply concat: axis must be an integer from -1 to 0: axis is 1.5"],
    [() => concat([six, reshape(six, [6, 1])], 0), "the other axes and the types must be equal"],
    [() => one(six), "Cannot donate argument 3: there are 1 arguments, the first is number 0"],
    [() => compile((x: Tensor) => x, { donate: [-1] }), "donate must list numbers of arguments, from 0 on: it is [-1]"],
  );
  assertEquals([...await toHost(concat([reshape(six, [2, 3]), reshape(six, [2, 3])], -1))].slice(0, 6), [
    1,
    2,
    3,
    1,
    2,
    3,
  ]);
  assertEquals([...await toHost(slice(reshape(six, [2, 3]), -1, 1, 2))], [2, 5]);
});
