import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { type AttentionCase as Case, key, reference, stream } from "../testing/attention.ts";
import { assertRefused } from "../testing/refusals.ts";
import { type HostTensor, placeholder, runOp } from "../testing/run_op.ts";
import { philox } from "../../src/random/philox.ts";
import { type Device, openDevice } from "../../src/gpu/device.ts";
import { attention, attentionOp } from "../../src/ops/attention.ts";
import { attentionGradOp } from "../../src/ops/attention_grad.ts";
import type { AttentionAttrs } from "../../src/ops/attention_kernel.ts";
import { grad } from "../../src/autograd/grad.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { HostArray, Op, Tensor } from "../../src/program/graph.ts";
import type { Lowering } from "../../src/program/lowering.ts";
import random from "../../kernels/random.wgsl" with { type: "text" };

/** Runs `philox4x32` on rows of four counter words and two key words. */
const philoxOp: Op<null> = {
  name: "philox",
  infer: ([rows]) => [{ shape: [rows!.shape[0]!, 4], dtype: "u32" }],
  lower(ctx, node): void {
    const code = random + `
@group(0) @binding(0) var<storage, read_write> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> bits: array<vec4<u32>>;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let at = id.x * 6u;
  let counter = vec4<u32>(given[at], given[at + 1u], given[at + 2u], given[at + 3u]);
  bits[id.x] = philox4x32(counter, vec2<u32>(given[at + 4u], given[at + 5u]));
}`;
    ctx.dispatch({
      name: "philox",
      code,
      bindings: [ctx.inputs[0]!, ctx.outputs[0]!],
      workgroups: node.avals[0]!.shape[0]!,
    });
  },
};

Deno.test("philox4x32() gives the known answers of its authors", async () => {
  const ones = 0xffffffff;
  const data = Uint32Array.of(
    ...[0, 0, 0, 0, 0, 0],
    ...[ones, ones, ones, ones, ones, ones],
    ...[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0],
  );
  const [bits] = await runOp(philoxOp, [{ data, shape: [3, 6], dtype: "u32" }], null);
  assertEquals(
    [...bits!].map((word) => word.toString(16).padStart(8, "0")).join(" "),
    "6627e8d5 e169c58d bc57ac4c 9b00dbd8 408f276d 41c83b0e a20bc7c6 6d5451fd d16cfe09 94fdcceb 5001e420 24126ea1",
  );
});

/** Numbers in [-1, 1) that look random. */
function noise(n: number, seed: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => philox([i, seed, 0, 0], [1, 2])[0]! / 2 ** 31 - 1);
}

function hostData(c: Case): Float32Array[] {
  const depth = c.heads * c.width, size = c.size ?? 1;
  const [q, k, v, g] = [c.tq, c.tk, c.tk, c.tq].map((t, i) => noise(c.batch * t * depth, i));
  const factor = size * Math.sqrt(Math.sqrt(c.width));
  return [q!.map((x) => x * factor), k!.map((x) => x * factor), v!, g!];
}

/** out, lse, dq, dk, dv from the kernels. */
async function computed(c: Case, [q, k, v, g]: readonly Float32Array[], device: Device): Promise<HostArray[]> {
  const { batch, tq, tk, heads, width } = c;
  const rows = [batch, tq, heads * width], columns = [batch, tk, heads * width];
  const inputs: HostTensor[] = [{ data: q!, shape: rows }, { data: k!, shape: columns }, { data: v!, shape: columns }];
  if (c.mask) {
    const data = Float32Array.from({ length: batch * tk }, (_, x) => c.mask!(Math.floor(x / tk), x % tk));
    inputs.push({ data, shape: [batch, tk] });
  }
  if (c.dropout) inputs.push({ data: key, shape: [2], dtype: "u32" });
  const attrs: AttentionAttrs = {
    heads,
    causal: c.causal ?? false,
    scale: 1 / Math.sqrt(width),
    masked: !!c.mask,
    ...(c.dropout ? { dropout: { probability: c.dropout, stream } } : {}),
  };
  const [out, norms] = await runOp(attentionOp, inputs, attrs, device) as [HostArray, HostArray];
  const normShape = [batch, heads, tq, 2];
  const results = [{ data: out, shape: rows }, { data: norms, shape: normShape }, { data: g!, shape: rows }];
  const lse = Float32Array.from({ length: norms.length / 2 }, (_, i) => {
    const [top, norm] = [norms[2 * i]!, norms[2 * i + 1]!];
    return norm === 0 ? 0 : top - Math.log(norm); // a row that sees no key has none
  });
  return [out, lse, ...await runOp(attentionGradOp, [...inputs, ...results], attrs, device)];
}

/** Errors are measured against the largest element, or against `floor` where all elements (nearly) cancel. */
function assertNear(got: ArrayLike<number>, want: Float64Array, tolerance: number, floor: number, what: string): void {
  const largest = want.reduce((m, x) => Math.max(m, Math.abs(x)), floor);
  for (let i = 0; i < want.length; i++) {
    const off = Math.abs(got[i]! - want[i]!) / largest;
    if (!(off <= tolerance)) throw new Error(`${what}[${i}] is ${got[i]}: it must be ${want[i]} (off by ${off})`);
  }
}

async function check(
  c: Case,
  tolerance: readonly [number, number] = [2e-5, 1e-4],
  on: readonly Device[] | undefined = undefined,
): Promise<void> {
  const data = hostData(c);
  const want = reference(c, data);
  for (const device of on ?? await devices) {
    const got = await computed(c, data, device);
    ["out", "lse", "dq", "dk", "dv"].forEach((name, i) => {
      const what = `${JSON.stringify(c)} on a ${device.profile.kind}: ${name}`;
      assertNear(got[i]!, want[i]!, tolerance[i < 2 ? 0 : 1], 0.01 * (c.size ?? 1), what);
    });
  }
}

const devices = Promise.all([openDevice({ kind: "cpu" }), openDevice({ kind: "gpu" })]);
const padded = (b: number, j: number): number => j > 3 + 5 * b ? -10000 : 0;

Deno.test("attention() and its gradients agree with the formulas in the sizes of the models", async () => {
  await check({ batch: 2, tq: 65, tk: 65, heads: 4, width: 32 });
  await check({ batch: 3, tq: 16, tk: 16, heads: 4, width: 32, mask: padded });
  await check({ batch: 2, tq: 16, tk: 65, heads: 4, width: 32, mask: (_, j) => j % 7 === 6 ? -1e9 : 0 });
  await check({ batch: 1, tq: 257, tk: 257, heads: 1, width: 64 });
});

Deno.test("attention() and its gradients agree with the formulas in odd and degenerate sizes", async () => {
  await check({ batch: 1, tq: 1, tk: 1, heads: 1, width: 1 });
  await check({ batch: 3, tq: 1, tk: 13, heads: 2, width: 7, mask: padded });
  await check({ batch: 2, tq: 17, tk: 1, heads: 3, width: 20 });
  await check({ batch: 1, tq: 37, tk: 53, heads: 2, width: 128 });
});

Deno.test("attention() of wide heads spreads each over threads, of very wide ones with fewer keys at a time (gpu)", async () => {
  const gpu = [(await devices)[1]];
  for (const width of [72, 96, 256]) {
    await check(
      { batch: 1, tq: 19, tk: 29, heads: 2, width, causal: true, mask: padded, dropout: 0.2 },
      undefined,
      gpu,
    );
  }
  await check({ batch: 2, tq: 9, tk: 21, heads: 1, width: 384, dropout: 0.4 }, undefined, gpu);
});

Deno.test("attention() runs in more workgroups than one dimension of a dispatch holds", async () => {
  await check({ batch: 65537, tq: 1, tk: 2, heads: 1, width: 1 });
});

Deno.test("attention() is causal when asked", async () => {
  await check({ batch: 2, tq: 65, tk: 65, heads: 2, width: 32, causal: true });
  await check({ batch: 2, tq: 19, tk: 19, heads: 1, width: 16, causal: true, mask: (_, j) => j === 2 ? -10000 : 0 });
});

Deno.test("attention() that is causal lets the last row see all keys, and is 0 in rows that see none", async () => {
  await check({ batch: 2, tq: 19, tk: 53, heads: 2, width: 16, causal: true });
  await check({ batch: 2, tq: 1, tk: 21, heads: 2, width: 8, causal: true, mask: padded });
  await check({ batch: 2, tq: 85, tk: 9, heads: 2, width: 8, causal: true, mask: padded, dropout: 0.2 });
  await check({ batch: 2, tq: 13, tk: 47, heads: 2, width: 8, causal: true, dropout: 0.4 });
});

Deno.test("attention() drops probabilities by the bits of the key and its gradients drop the same ones", async () => {
  await check({ batch: 2, tq: 65, tk: 67, heads: 2, width: 32, dropout: 0.1 });
  await check({ batch: 2, tq: 19, tk: 19, heads: 1, width: 16, causal: true, mask: padded, dropout: 0.5 });
});

Deno.test("attention() keeps finite with scores of +-1e4", async () => {
  await check({ batch: 1, tq: 33, tk: 40, heads: 1, width: 32, size: 56 }, [5e-3, 5e-2]);
});

Deno.test("attention() of rows whose keys are all masked is the softmax of the sums", async () => {
  // Adding -10000 rounds a score to 2^-10.
  await check({ batch: 2, tq: 16, tk: 16, heads: 4, width: 32, mask: (b) => b ? -10000 : 0 }, [1e-3, 2e-3]);
});

Deno.test("attention() of rows that a huge or infinite mask covers is uniform, and so are its gradients", async () => {
  for (const value of [-1e9, -1e30, -Infinity]) {
    // All keys of batch 0, every other one of batch 1, none of batch 2.
    const mask = (b: number, j: number) => b === 0 || (b === 1 && j % 2 === 1) ? value : 0;
    for (const tk of [2, 5, 40]) await check({ batch: 3, tq: 11, tk, heads: 2, width: 8, mask });
    await check({ batch: 3, tq: 11, tk: 5, heads: 2, width: 8, mask, dropout: 0.3 });
    // The first rows see masked keys only: the keys after them must take no part.
    await check({ batch: 3, tq: 13, tk: 13, heads: 2, width: 8, causal: true, mask: (b, j) => j < 5 * b ? value : 0 });
  }
});

Deno.test("attention() drops the asked share, by the key alone", async () => {
  const c: Case = { batch: 4, tq: 64, tk: 64, heads: 2, width: 1, dropout: 0.1 };
  // Equal scores and values of 1: an element of the result is the kept share times 1 / (1 - p).
  const [zeros, ones] = [0, 1].map((x) => new Float32Array(4 * 64 * 2).fill(x)) as [Float32Array, Float32Array];
  const [device] = await devices;
  const [out] = await computed(c, [zeros, zeros, ones, ones], device);
  const [again] = await computed(c, [zeros, zeros, ones, ones], device);
  assertEquals(out, again);
  const mean = [...out!].reduce((x, y) => x + y) / out!.length;
  assertAlmostEquals(mean, 1, 4 * Math.sqrt(0.1 / 0.9 / (4 * 2 * 64 * 64)));
  assert(new Set(out).size > 8, "rows must differ in what they drop");
});

Deno.test("attention() of one tensor as q, k and v binds no memory twice, nor does its gradient", async () => {
  const c: Case = { batch: 2, tq: 16, tk: 16, heads: 2, width: 16 };
  const [x, , , g] = hostData(c) as [Float32Array, Float32Array, Float32Array, Float32Array];
  const [device] = await devices;
  const run = compile((x: Tensor, g: Tensor) => {
    const total = (x: Tensor) => sum(multiply(attention(x, x, x, { heads: 2 }), g));
    return [attention(x, x, x, { heads: 2 }), grad(total)(x)];
  }, { device });
  const args = [tensor(x, [2, 16, 32]), tensor(g, [2, 16, 32])] as const;
  for (const { bindings } of (await run.program(...args)).plan.steps) {
    const storage = bindings.flatMap((b) => "words" in b ? [] : [`${b.value}+${b.offset}`]);
    assertEquals(new Set(storage).size, storage.length);
  }
  const [out, dx] = await run(...args) as [Tensor, Tensor];
  const [wanted, , dq, dk, dv] = reference(c, [x, x, x, g]) as [Float64Array, ...Float64Array[]];
  assertNear(await toHost(out), wanted, 2e-5, 0.01, "out");
  assertNear(await toHost(dx), dq!.map((v, i) => v + dk![i]! + dv![i]!), 1e-4, 0.01, "dx");
});

Deno.test("the formulas' gradients agree with finite differences", () => {
  const c: Case = { batch: 1, tq: 5, tk: 6, heads: 2, width: 3, mask: (_, j) => -j, dropout: 0.3 };
  const data = hostData(c).map((x) => Float64Array.from(x));
  const [, , ...grads] = reference(c, data);
  const loss = () => reference(c, data)[0]!.reduce((sum, x, i) => sum + x * data[3]![i]!, 0);
  grads.forEach((grad, input) => {
    for (let i = 0; i < grad.length; i += 4) {
      const x = data[input]![i]!, step = 1e-5;
      const [up, down] = [x + step, x - step].map((moved) => {
        data[input]![i] = moved;
        return loss();
      }) as [number, number];
      data[input]![i] = x;
      assertAlmostEquals(grad[i]!, (up - down) / (2 * step), 1e-8);
    }
  });
});

Deno.test("attention() and its gradient need memory that is linear in the number of tokens", async () => {
  const [{ profile }] = await devices;
  const bytes = (tokens: number) => {
    let sum = 0;
    const q = placeholder([1, tokens, 64]);
    const out = attention(q, placeholder([1, tokens, 64]), placeholder([1, tokens, 64]), { heads: 2 });
    const [dq] = attentionOp.vjp!(out.node as never, [out, null]);
    for (const { node } of [out, dq!]) {
      const ref = (size: number) => ({ value: sum += size, offset: 0, bytes: size, dtype: "f32" as const });
      const lowering: Lowering = {
        device: profile,
        inputs: node.inputs.map(() => ref(0)),
        outputs: node.avals.map(({ shape }) => ref(4 * shape.reduce((a, b) => a * b))),
        scratch: ref,
        emit: () => {
          throw new Error("Attention writes its results itself");
        },
        dispatch: () => {},
      };
      node.op.lower!(lowering, node);
    }
    return sum;
  };
  assertEquals(bytes(4096), 64 * bytes(64));
});

Deno.test("attention() names what does not fit", async () => {
  const [q, k] = [placeholder([2, 5, 12]), placeholder([2, 7, 12])];
  await assertRefused(
    [() => attention(q, k, k, { heads: 5 }), "the number of heads must divide the 12 columns: it is 5"],
    [() => attention(q, k, q, { heads: 2 }), "v, as k, must be f32[2,7,12]: it is f32[2,5,12]"],
    [
      () => attention(q, placeholder([3, 7, 12]), k, { heads: 2 }),
      "k beside q of [2,5,12] must be f32[2,Tk,Dk]: it is f32[3,7,12]",
    ],
    [
      () => attention(q, placeholder([2, 7, 8]), placeholder([2, 7, 8]), { heads: 4 }),
      "k must have as many heads of 3 columns as q or a divisor of 4: it has 8 columns",
    ],
    [
      () => attention(q, placeholder([2, 7, 9]), placeholder([2, 7, 9]), { heads: 4 }),
      "k must have as many heads of 3 columns as q or a divisor of 4: it has 9 columns",
    ],
    [
      () => attention(q, k, k, { heads: 2, mask: placeholder([2, 2, 4, 7]) }),
      "the mask must be [2,2,5,7], with 1 in the place of any but the last: it is [2,2,4,7]",
    ],
    [
      () => attention(q, k, k, { heads: 2, mask: placeholder([5, 7, 1]) }),
      "must be f32[B,heads,Tq,7]: it is f32[5,1,7,1]",
    ],
    [() => attention(q, k, k, { heads: 2, mask: placeholder([2, 5]) }), "the mask must be f32[2,7]: it is f32[2,5]"],
    [
      () => attention(q, k, k, { heads: 2, dropout: { probability: 1, key: placeholder([2], "u32"), stream: 0 } }),
      "the probability of dropout must be in [0, 1): it is 1",
    ],
  );
});
