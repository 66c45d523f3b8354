import { assertAlmostEquals, assertEquals } from "@std/assert";
import { compile, item, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { rampedAlpha } from "../../src/recipes/albef.ts";

Deno.test("rampedAlpha() rises in the first epoch and then stays", async () => {
  const ramp = compile((step: Tensor) => rampedAlpha(0.4, step, 100));
  const at = async (step: number): Promise<number> => await item(await ramp(tensor(step)));
  assertEquals(await at(0), 0);
  for (const [step, alpha] of [[25, 0.1], [50, 0.2], [100, 0.4], [101, 0.4], [1000, 0.4]] as const) {
    assertAlmostEquals(await at(step), alpha, 1e-7);
  }
  ramp.destroy();
});
