import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { defaultDevice, type Device, openDevice } from "../../src/gpu/device.ts";
import { add, divide, multiply, sqrt, square, subtract, tanh } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { compile, evaluate, item, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { mapTree } from "../../src/program/tree.ts";
import { assertClose, randomTensor, testOnEachKind } from "../testing/reference.ts";
import type { HostTensor } from "../testing/run_op.ts";
import { testWhere } from "../testing/where.ts";

const lists = async (tensors: readonly Tensor[]): Promise<number[][]> => (await toHost(tensors)).map((d) => [...d]);

Deno.test("a function is traced once per structure of its arguments", async () => {
  let traces = 0;
  const f = compile((x: Tensor, options: { scale: Tensor }) => {
    traces++;
    return multiply(x, options.scale);
  });
  const scale = tensor(2);
  assertEquals(await lists([await f(tensor([1, 2]), { scale })]), [[2, 4]]);
  assertEquals(await lists([await f(tensor([3, 4]), { scale: tensor(5) })]), [[15, 20]]);
  assertEquals(traces, 1);
  assertEquals(await lists([await f(tensor([1, 2, 3]), { scale })]), [[2, 4, 6]]);
  assertEquals(await lists([await f(tensor([1, 2], [2, 1]), { scale })]), [[2, 4]]);
  assertEquals(traces, 3);
  await f(tensor([9, 9]), { scale });
  assertEquals(traces, 3);
});

Deno.test("results have the structure that the function returned", async () => {
  const f = compile((x: Tensor) => ({ sum: add(x, 1), parts: [x, { deep: multiply(x, 2) }] as const, none: [] }));
  const { sum, parts: [same, { deep }], none } = await f(tensor([1, 2]));
  assertEquals(await lists([sum, same, deep]), [[2, 3], [1, 2], [2, 4]]);
  assertEquals(none, []);
});

Deno.test("something that is no tensor is named with its place", async () => {
  const f = compile((tree: { a: { b: Tensor }[] }) => tree.a[0]!.b);
  const wrong = { a: [{ b: 3 }] } as unknown as { a: { b: Tensor }[] };
  await assertRejects(async () => await f(wrong), TypeError, `Cannot use a number at "a.0.b" as a tensor`);
  const g = compile((x: Tensor) => ({ x, loss: 1 }) as unknown as { x: Tensor });
  await assertRejects(async () => await g(tensor(1)), TypeError, `Cannot use a number at "loss" as a tensor`);
});

Deno.test("ops outside of compile() are computed when their value is asked for, all at once", async () => {
  const x = tensor([1, 2, 3]), y = add(x, 1), z = multiply(y, y);
  assertEquals(await lists([z, y, x]), [[4, 9, 16], [2, 3, 4], [1, 2, 3]]);
  assertEquals(await item(sum(z)), 29);
  const [w] = await evaluate([subtract(z, y)]);
  assertEquals([...await toHost(w!)], [2, 6, 12]);
  await assertRejects(async () => await item(z), RangeError, "it must hold 1 element");
});

Deno.test("values that a function closes over are part of its program", async () => {
  const table = tensor([10, 20, 30]), lazy = add(table, 1), onGpu = await toDevice(tensor([100, 200, 300]));
  const f = compile((x: Tensor) => add(add(multiply(x, table), lazy), add(onGpu, full([], 0.5))));
  assertEquals(await lists([await f(tensor([1, 2, 3]))]), [[121.5, 261.5, 421.5]]);
  assertEquals(await lists([await f(tensor([0, 0, 0]))]), [[111.5, 221.5, 331.5]]);
});

Deno.test("arguments are handed through, left unused and used twice", async () => {
  const f = compile((x: Tensor, _unused: Tensor, y: Tensor) => [y, multiply(x, x), x, full([2], 7), y]);
  const out = [[5, 6], [1, 4], [1, 2], [7, 7], [5, 6]];
  assertEquals(await lists(await f(tensor([1, 2]), tensor([0]), tensor([5, 6]))), out);
  const [x, y] = await toDevice([tensor([1, 2]), tensor([5, 6])]);
  assertEquals(await lists(await f(x!, tensor([0]), y!)), out);
  assertEquals(await lists(await f(x!, tensor([0]), tensor([5, 6]))), out);
});

Deno.test("results do not change when the program runs again", async () => {
  const f = compile((x: Tensor) => multiply(x, 2));
  const first = await f(tensor([1, 2])), second = await f(tensor([3, 4])), third = await f(first);
  assertEquals(await lists([first, second, third]), [[2, 4], [6, 8], [4, 8]]);
});

Deno.test("calls that overlap in time do not see one another's arguments", async () => {
  let traces = 0;
  const f = compile((x: Tensor) => {
    traces++;
    return add(multiply(x, x), 1);
  });
  const inputs = Array.from({ length: 8 }, (_, i) => tensor([i, i + 0.5]));
  for (const order of [inputs, inputs.toReversed()]) { // while the program is made, and when it is there
    const results = await Promise.all(order.map((x) => f(x)));
    const expected = inputs.map((_, i) => [i * i + 1, (i + 0.5) ** 2 + 1]);
    assertEquals(await lists(results), order === inputs ? expected : expected.reverse());
  }
  assertEquals(traces, 1);
});

Deno.test("arguments of any type and of an odd number of bytes arrive whole", async () => {
  const f = compile((a: Tensor, b: Tensor) => [add(a, 1), add(b, 1)]);
  const out = await f(tensor(Int32Array.of(-5, 6, 7)), tensor(Uint32Array.of(4294967290)));
  assertEquals(await lists(out), [[-4, 7, 8], [4294967291]]);
  const view = new Float32Array([0, 1, 2, 3, 4]).subarray(1, 4);
  assertEquals(await lists([add(tensor(view), 1)]), [[2, 3, 4]]);
  assertThrows(() => tensor(new Float32Array(2), [2], "i32"), TypeError, "i32 data must be a Int32Array");
});

Deno.test("a first run in parts computes what one submission does, and tells of each distinct kernel", async () => {
  const chain = (x: Tensor): Tensor => {
    for (let i = 0; i < 3; i++) x = matmul(tanh(multiply(sum(x, { axes: [0] }), x)), x); // the same kernels again and again
    return x;
  };
  const device = await openDevice({ kind: "cpu" }), seen: string[] = [], x = tensor([[0.5, 1], [2, -1]]);
  const f = compile(chain, {
    device,
    progress: (done, total, _, phase) => phase === "first run" && seen.push(`${done}/${total}`),
  });
  const [first, second] = [await f(x), await f(x)], { plan } = await f.program(x);
  assertEquals(await toHost(first), await toHost(await compile(chain, { device })(x)));
  assertEquals(await toHost(first), await toHost(second));
  const kernels = new Set(plan.steps.map((s) => s.code)).size;
  assert(kernels < plan.steps.length && kernels > 2, `${plan.steps.length} steps of ${kernels} kernels`);
  assertEquals(seen, Array.from({ length: kernels }, (_, i) => `${i}/${kernels}`));
  device.close();
});

Deno.test("the kernels of a program are reported while they are compiled", async () => {
  const seen: string[] = [];
  const f = compile((x: Tensor) => sum(tanh(x)), {
    progress: (done, total, name, phase) => seen.push(`${phase} ${done}/${total} ${name}`),
  });
  await f(tensor([0.5, 1]));
  await f(tensor([0.5, 2]));
  assertEquals(seen[0], "compile 0/2 tanh");
  assertEquals(seen.filter((line) => line.startsWith("compile")).length, 2);
});

const timed = (await defaultDevice()).gpu.features.has("timestamp-query");

testWhere(timed, "the adapter has no time stamps", "a program is profiled by kernel", async () => {
  const f = compile((x: Tensor) => sum(tanh(x)));
  const x = tensor(Float32Array.from({ length: 4096 }, (_, i) => i / 4096));
  const { result, times } = await f.profile(x);
  assertEquals(await toHost(result), await toHost(await f(x)));
  assertEquals(times[0]!.name, "tanh");
  for (const t of times) assert(t.nanoseconds > 0 && t.bytes > 0);
});

type State = Readonly<Record<"params" | "m" | "v", Record<string, Tensor>>>;

function mlpLoss(p: Record<string, Tensor>, x: Tensor, y: Tensor): Tensor {
  const hidden = tanh(add(matmul(x, p.w1!), p.b1!));
  return mean(square(subtract(add(matmul(hidden, p.w2!), p.b2!), y)));
}

/** One step of Adam without bias correction, of element-wise ops. */
function adamStep(state: State, x: Tensor, y: Tensor): [State, Tensor] {
  const [loss, grads] = valueAndGrad(mlpLoss)(state.params, x, y);
  const m = mapTree(state.m, (t, k) => add(multiply(t, 0.9), multiply(grads[k]!, 0.1)));
  const v = mapTree(state.v, (t, k) => add(multiply(t, 0.99), multiply(square(grads[k]!), 0.01)));
  const params = mapTree(state.params, (t, k) => subtract(t, divide(multiply(m[k]!, 0.01), add(sqrt(v[k]!), 1e-6))));
  return [{ params, m, v }, loss];
}

const host = (t: HostTensor): Tensor => tensor(t.data, t.shape);

function initialState(): State {
  const params = {
    w1: host(randomTensor([5, 16], 1)),
    b1: host(randomTensor([16], 2, 0.1)),
    w2: host(randomTensor([16, 3], 3)),
    b2: host(randomTensor([3], 4, 0.1)),
  };
  const zeros = () => mapTree(params as Record<string, Tensor>, (t) => tensor(new Float32Array(t.size), t.shape));
  return { params, m: zeros(), v: zeros() };
}

const batch = (): [Tensor, Tensor] => {
  const x = randomTensor([32, 5], 6);
  return [host(x), tensor(Float32Array.from({ length: 96 }, (_, i) => Math.sin(3 * x.data[i % 96]!)), [32, 3])];
};

/** Trains; returns the losses that were read, every 20 steps, and the GPU memory after each reading. */
async function train(
  device: Device,
  donate: readonly number[],
  steps: number,
): Promise<{ losses: number[]; bytes: number[] }> {
  const step = compile(adamStep, { donate, device });
  const losses: number[] = [], bytes: number[] = [], [x, y] = batch();
  let state = initialState();
  for (let i = 0; i < steps; i++) {
    const [next, loss] = await step(state, x, y);
    state = next;
    if (i % 20 !== 19) continue;
    losses.push(await item(loss));
    bytes.push(device.memory.bytes);
  }
  step.destroy();
  return { losses, bytes };
}

testOnEachKind("GPU memory is constant over 200 training steps with a donated state", async (device) => {
  const { losses, bytes } = await train(device, [0], 200);
  assert(losses.at(-1)! < 0.3 * losses[0]!, `the loss went from ${losses[0]} to ${losses.at(-1)}`);
  const settled = bytes.slice(2);
  const uncollected = 200 * 4; // losses that are garbage but not yet known to be
  assert(Math.max(...settled) - Math.min(...settled) <= uncollected, `bytes after every 20 steps: ${bytes}`);
});

Deno.test("GPU memory is bounded, and the losses the same, where nothing is donated", async () => {
  const device = await openDevice();
  const { losses, bytes } = await train(device, [], 1200);
  const donated = await train(device, [0], 200);
  assertClose(losses.slice(0, 10), donated.losses, 0, 0);
  const stateBytes = 3 * 4 * (5 * 16 + 16 + 16 * 3 + 3);
  assert(Math.max(...bytes) < 1200 * stateBytes / 4, `bytes after every 20 steps: ${bytes}`);
});

Deno.test("a destroyed function gives its memory back and can be called again", async () => {
  const device = await openDevice();
  const f = compile((x: Tensor) => sum(matmul(tanh(x), x)), { device });
  const x = tensor(new Float32Array(64 * 64).fill(0.01), [64, 64]);
  await toHost(await f(x));
  const before = device.memory.bytes;
  f.destroy();
  assert(device.memory.bytes < before - 64 * 64 * 4);
  assertClose(await toHost(await f(x)), [64 * 64 * 64 * 0.01 * Math.tanh(0.01)], 1e-5);
});
