import { assertEquals } from "@std/assert";
import type { Aval, Tensor } from "../../src/program/graph.ts";
import { placeholders } from "../../src/program/program.ts";
import { signature } from "../../src/program/tree.ts";

const aval = (dtype: Aval["dtype"], ...shape: number[]): Aval => ({ shape, dtype });

Deno.test("placeholders() gives tensors in the same records and lists, whatever these are named", () => {
  type Input = { readonly dtype: Tensor; readonly shape: readonly Tensor[]; readonly last: { readonly x: Tensor } };
  const input = placeholders<Input>({
    dtype: aval("u32", 2, 3),
    shape: [aval("f32"), aval("i32", 4)],
    last: { x: aval("f16", 1) },
  });
  assertEquals(signature(input), "dtype:u32[2,3];shape.0:f32[];shape.1:i32[4];last.x:f16[1]");
  assertEquals(signature(placeholders<Input>(input)), signature(input), "a tensor is its own shape and type");
  assertEquals(signature(placeholders<Tensor>(aval("f32", 5))), ":f32[5]");
});
