import { assert, assertEquals } from "@std/assert";
import { type AdamWState, type AdamWStep, flatAdamW } from "../../src/optim/adamw.ts";
import { add, tanh } from "../../src/ops/elementwise.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder, type Program } from "../../src/program/program.ts";
import { roomyDevice } from "../testing/roomy.ts";

function storageBuffers(program: Program): number[] {
  return program.plan.steps.map((d) => d.bindings.filter((b) => !("words" in b)).length);
}

Deno.test("AdamW is one kernel per buffer, constants bind nothing", async () => {
  const flats = (): Tensor[] => [4096, 640].map((size) => placeholder({ shape: [size], dtype: "f32" }));
  const scalar = (): Tensor => placeholder({ shape: [], dtype: "f32" });
  const layout = [4096, 640].map((size, i) => ({ size, decay: i === 0, bounds: undefined }));
  const update = compile(
    (state: AdamWState, gradients: Tensor[], input: AdamWStep, apply: Tensor) =>
      flatAdamW(state, gradients, layout, input, { apply }),
    { donate: [0], device: await roomyDevice() },
  );
  const step = { rate: scalar(), correction1: scalar(), correction2: scalar() };
  const program = await update.program({ values: flats(), mu: flats(), nu: flats() }, flats(), step, scalar());
  const sizes = program.plan.steps.map((d) => d.workgroups);
  assertEquals(sizes.filter((n) => n > 1), [16, 3], program.toString());
});

Deno.test("a kernel binds no more buffers than adapters allow, however many values it could read", async () => {
  const total = compile((...xs: Tensor[]) => xs.reduce((a, b) => add(a, b)));
  const xs = Array.from({ length: 40 }, (_, i) => tensor(new Float32Array(64).fill(i)));
  const program = await total.program(...xs);
  assert(program.plan.steps.length >= 3);
  for (const count of storageBuffers(program)) assert(count <= 14, `${count} buffers`);
  assertEquals(await toHost(await total(...xs)), new Float32Array(64).fill(40 * 39 / 2));
});

Deno.test("a long chain is cut in kernels of a size that compilers take well", async () => {
  const chain = compile((x: Tensor) => Array.from({ length: 100 }).reduce((y: Tensor) => tanh(y), x));
  const program = await chain.program(tensor([1, 2, 3, 4]));
  assertEquals(program.plan.steps.map((d) => d.name.split("+").length), [32, 32, 32, 4]);
});
