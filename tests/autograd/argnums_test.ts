import { assertEquals, assertThrows } from "@std/assert";
import { grad, valueAndGrad } from "../../src/autograd/grad.ts";
import { add, multiply, square } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";

const lists = async (tensors: readonly Tensor[]): Promise<number[][]> => (await toHost(tensors)).map((d) => [...d]);

/** sum(w.a * x^2 * k + y): gradients k x^2, 2 k x a, 1. */
const loss = (w: { a: Tensor }, x: Tensor, k: number, y: Tensor): Tensor =>
  sum(add(multiply(multiply(w.a, square(x)), k), y));

Deno.test("argnums says which arguments gradients are taken of: one, or a list in its order", async () => {
  const f = compile((w: { a: Tensor }, x: Tensor, y: Tensor) => {
    const ofX = grad(loss, { argnums: 1 })(w, x, 10, y);
    const [dy, dw] = grad(loss, { argnums: [3, 0] })(w, x, 10, y);
    const [value, [same]] = valueAndGrad(loss, { argnums: [1] })(w, x, 10, y);
    return [ofX, dy, dw.a, value, same, grad(loss)(w, x, 10, y).a];
  });
  assertEquals(await lists(await f({ a: tensor([2, 3]) }, tensor([1, 5]), tensor([7, 8]))), [
    ...[[40, 300], [1, 1], [10, 250], [785], [40, 300], [10, 250]],
  ]);
});

Deno.test("hasAux hands other results through, as they are", async () => {
  const f = (x: Tensor, y: Tensor): [Tensor, { product: Tensor; name: string }] => {
    const product = multiply(x, y);
    return [sum(square(product)), { product, name: "p" }];
  };
  const x = tensor([1, 2]), y = tensor([3, 4]);
  const [[value, aux], dx] = valueAndGrad(f, { hasAux: true })(x, y);
  const [[, dy], again] = grad(f, { argnums: [0, 1], hasAux: true })(x, y);
  assertEquals(await lists([value, aux.product, dx, dy, again.product]), [[73], [3, 8], [18, 64], [6, 32], [3, 8]]);
  assertEquals([aux.name, again.name], ["p", "p"]);
});

Deno.test("argnums beyond the arguments, twice or none, and a result that is no scalar, are refused", () => {
  const x = tensor([1, 2]), f = (a: Tensor, b: Tensor): Tensor => sum(multiply(a, b));
  for (const argnums of [2, -1, 0.5, [0, 0], []]) {
    assertThrows(
      () => grad(f, { argnums: argnums as number })(x, x),
      RangeError,
      `Cannot take the gradient: argnums must be different numbers from 0 to 1: it is [${argnums}]`,
    );
  }
  assertThrows(() => grad(f as () => Tensor)(), RangeError, "argnums must be numbers of arguments, but there are none");
  const pair = (a: Tensor) => [sum(a), a] as unknown as Tensor;
  assertThrows(() => grad(pair)(x), RangeError, "the function must return a scalar: it returned f32[],f32[2]");
  assertThrows(() => grad(loss, { argnums: 2 })({ a: x }, x, 10, x), TypeError, "Cannot use a number");
});
