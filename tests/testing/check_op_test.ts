import { assertRejects } from "@std/assert";
import { customVjp } from "../../src/autograd/grad.ts";
import { add, exp, greaterEqual, log, multiply, relu } from "../../src/ops/elementwise.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, elementwise } from "./check_op.ts";
import { randomTensor } from "./reference.ts";

const x = [randomTensor([8], 1, 1, 3)]; // far from 0, as a test that forgets the edges would choose it

Deno.test("checkOp() finds a wrong gradient at 0 and wants to know what is right there", async () => {
  const wrong = customVjp(
    (x) => [relu(x!)],
    ([x], _, [ct]) => [multiply(ct!, greaterEqual(x!, 0))],
  );
  const fn = (x: Tensor): Tensor => wrong(x)[0]!, reference = elementwise((v) => Math.max(v, 0));
  await assertRejects(() => checkOp(fn, x, reference), Error, '"edges.kinks" must say what the gradient is there');
  await assertRejects(
    () => checkOp(fn, x, reference, { edges: { kinks: (below) => below } }),
    Error,
    "on zeros and equal numbers: derivative 0 of input 0",
  );
  await checkOp(fn, x, reference, { edges: { kinks: (_, above) => above } });
  await checkOp(fn, x, reference, { edges: "not now" });
});

Deno.test("checkOp() finds what is wrong for large numbers only", async () => {
  const softplus = (x: Tensor): Tensor => log(add(exp(x), 1));
  const reference = elementwise((v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))));
  await assertRejects(() => checkOp(softplus, x, reference), Error, "on large numbers: element 0 is");
  await checkOp(softplus, x, reference, { edges: { domain: (v) => Math.min(v, 20) } });
});
