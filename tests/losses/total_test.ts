import { assertEquals, assertThrows } from "@std/assert";
import { total } from "../../src/losses/total.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";

Deno.test("total() adds weighted terms and gives them without their weights", async () => {
  const run = compile((a: Tensor, b: Tensor) => {
    const { loss, terms } = total({ first: () => a, second: () => b }, { second: 0.5 });
    return [loss, terms.first!, terms.second!];
  });
  const [loss, first, second] = await toHost(await run(tensor(3), tensor(4)));
  assertEquals([loss![0], first![0], second![0]], [5, 3, 4]);
  run.destroy();
});

Deno.test("total() does not compute a term of weight 0", () => {
  const never = (): Tensor => {
    throw new Error("this term has been computed");
  };
  const one = tensor(1), { loss, terms } = total({ left: never, right: () => one }, { left: 0 });
  assertEquals(Object.keys(terms), ["right"]);
  assertEquals(loss, one, "a single term of weight 1 is the loss itself");
});

Deno.test("total() refuses weights that are all 0", () => {
  const refused = (): unknown => total({ itc: () => tensor(1) }, { itc: 0 });
  assertThrows(refused, RangeError, "at least one weight must not be 0: all are 0");
});
