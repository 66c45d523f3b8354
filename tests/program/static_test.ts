import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { multiply, square, tanh } from "../../src/ops/elementwise.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { staticKey } from "../../src/program/static_key.ts";

Deno.test("a static argument reaches the function as it is, which is traced once for each of its values", async () => {
  const traced: unknown[] = [];
  const f = compile((x: Tensor, options: { power: number; then?: (y: Tensor) => Tensor }, y: Tensor) => {
    traced.push(options.power);
    let result = y;
    for (let i = 0; i < options.power; i++) result = multiply(result, x);
    return options.then?.(result) ?? result;
  }, { static: [1] });
  const x = tensor([2, 3]), y = tensor([1, 10]);
  const run = async (
    options: { power: number; then?: (y: Tensor) => Tensor },
  ) => [...await toHost(await f(x, options, y))];
  assertEquals(await run({ power: 2 }), [4, 90]);
  assertEquals(await run({ power: 2 }), [4, 90]);
  assertEquals(await run({ power: 0 }), [1, 10]);
  assertEquals(await run({ power: 1, then: square }), [4, 900]);
  assertEquals(await run({ power: 1, then: square }), [4, 900]);
  assertEquals(traced, [2, 0, 1]);
});

Deno.test("the text of a static value is equal exactly where values are", () => {
  const values = [
    ...[0, -0, NaN, Infinity, 1, "1", 1n, true, "true", null, undefined, "null", [], {}, [1, 2], ["1,2"], [[1], 2]],
    ...[[1, [2]], { a: 1 }, { a: "1" }, { a: { b: 1 } }, { "a.b": 1 }, [undefined], square, tanh],
  ];
  assertEquals(new Set(values.map((v) => staticKey(v, "0"))).size, values.length);
  for (const make of [() => ({ a: [1, { b: "x" }] }), () => NaN, () => square]) {
    assertEquals(staticKey(make(), "0"), staticKey(make(), "0"));
  }
});

Deno.test("static arguments that cannot be compared by value, and contradictory options, are refused", async () => {
  const f = compile((x: Tensor, _: unknown) => x, { static: [1] }), x = tensor([1]);
  await assertRejects(
    () => f(x, { scale: [x] }),
    TypeError,
    "Cannot take argument 1.scale.0 as static: it must be a value without tensors",
  );
  await assertRejects(() => f(x, new Map()), TypeError, "records of these): it is a Map");
  await assertRejects(() => f(x, Symbol("s")), TypeError, "it is a symbol");
  assertThrows(
    () => compile((x: Tensor) => x, { static: [-1] }),
    RangeError,
    "static must list numbers of arguments, from 0 on",
  );
  assertThrows(
    () => compile((x: Tensor, _: number) => x, { static: [1], donate: [0, 1] }),
    RangeError,
    "argument 1 must be static or donated: it is listed as both",
  );
});
