import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { matmul, type MatmulAttrs, matmulOp } from "../../src/ops/matmul.ts";
import { Node, sizeOf, type Tensor } from "../../src/program/graph.ts";
import {
  chooseMatmul,
  type MatmulChoice,
  matmulVariants,
  overrideMatmulChoice,
  plainMatmul,
} from "../../src/ops/matmul_variants.ts";
import { defaultDevice, Device, type DeviceProfile, openDevice } from "../../src/gpu/device.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { compile } from "../../src/program/compile.ts";
import { type HostTensor, placeholder, runOp } from "../testing/run_op.ts";
import { testWhere } from "../testing/where.ts";

const layouts: MatmulAttrs[] = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
  { transposeA: true, transposeB: true },
];

/** Numbers of both signs without a period that tiles could share. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed * 2654435761 >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function halfBits(x: Iterable<number>): Uint16Array {
  return new Uint16Array(Float16Array.from(x).buffer);
}

/** Shapes of the operands of one product; `batch` empty for matrices, a shared second operand if `shared`. */
function operands(batch: number[], m: number, n: number, k: number, attrs: MatmulAttrs, shared = false): HostTensor[] {
  const a = [...batch, ...attrs.transposeA ? [k, m] : [m, k]];
  const b = [...shared ? [] : batch, ...attrs.transposeB ? [n, k] : [k, n]];
  return [{ data: numbers(sizeOf(a), 1), shape: a }, { data: numbers(sizeOf(b), 2), shape: b }];
}

/** The product in float64, and beside it the sums of |a| |b|. */
function reference([a, b]: readonly HostTensor[], attrs: MatmulAttrs): { product: Float64Array; scale: Float64Array } {
  const [m, k] = (attrs.transposeA ? a!.shape.slice(-2).toReversed() : a!.shape.slice(-2)) as [number, number];
  const n = b!.shape.at(attrs.transposeB ? -2 : -1)!;
  const batch = sizeOf(a!.shape) / (m * k), bStride = b!.shape.length > 2 ? n * k : 0;
  const product = new Float64Array(batch * m * n), scale = new Float64Array(batch * m * n);
  for (let i = 0; i < batch * m * n; i++) {
    const column = i % n, row = Math.floor(i / n) % m, z = Math.floor(i / (m * n));
    for (let j = 0; j < k; j++) {
      const x = a!.data[z * m * k + (attrs.transposeA ? j * m + row : row * k + j)]!;
      const y = b!.data[z * bStride + (attrs.transposeB ? column * k + j : j * n + column)]!;
      product[i]! += x * y;
      scale[i]! += Math.abs(x * y);
    }
  }
  return { product, scale };
}

/** Largest error of `got` relative to the sum of |a| |b|; NaN if one is. */
function worstError(got: ArrayLike<number>, inputs: HostTensor[], attrs: MatmulAttrs): number {
  const { product, scale } = reference(inputs, attrs);
  return product.reduce((worst, x, i) => Math.max(worst, Math.abs(got[i]! - x) / scale[i]!), 0);
}

async function checkProduct(device: Device, inputs: HostTensor[], attrs: MatmulAttrs): Promise<void> {
  const [got] = await runOp(matmulOp, inputs, attrs, device);
  const error = worstError(got!, inputs, attrs);
  const what = inputs.map((t, i) => `[${t.shape}]${(i ? attrs.transposeB : attrs.transposeA) ? "^T" : ""}`).join(" x ");
  assert(error < 1e-6, `${what}: error ${error}`);
}

type Sizes = [batch: number[], m: number, n: number, k: number];

const someSizes: Sizes[] = [
  [[], 1, 1, 1],
  [[], 1, 7, 13],
  [[], 33, 2, 5],
  [[], 64, 64, 64],
  [[], 67, 61, 59],
  [[], 36, 68, 132],
  [[2, 3], 17, 20, 12],
  [[], 300, 40, 8],
];

/** Runs `test` with every product computed as `choice` says. */
async function forcing(choice: MatmulChoice, test: () => Promise<void>): Promise<void> {
  overrideMatmulChoice(() => choice);
  try {
    await test();
  } finally {
    overrideMatmulChoice(undefined);
  }
}

for (const kind of ["cpu", "gpu"] as const) {
  Deno.test(`matmul() equals a float64 product in all layouts on a ${kind} adapter`, async () => {
    const device = await openDevice({ kind });
    for (const attrs of layouts) {
      for (const [batch, m, n, k] of someSizes) await checkProduct(device, operands(batch, m, n, k, attrs), attrs);
    }
    device.close();
  });

  Deno.test(`matmul() shares a 2-D second operand with the batch on a ${kind} adapter`, async () => {
    const device = await openDevice({ kind });
    for (const attrs of layouts.slice(0, 2)) {
      await checkProduct(device, operands([3, 5], 7, 12, 16, attrs, true), attrs);
    }
    device.close();
  });

  Deno.test(`every matmul() variant for a ${kind} adapter is correct at the borders of its tiles`, async () => {
    const device = await openDevice({ kind });
    const profiles = [device.profile, { ...device.profile, subgroups: false }];
    const variants = new Set([plainMatmul, ...profiles.flatMap(matmulVariants)]);
    for (const variant of variants) {
      const [rows, columns] = variant.tile;
      await forcing({ variant, splits: 1 }, async () => {
        for (const attrs of layouts) await checkProduct(device, operands([], rows + 4, columns, 36, attrs), attrs);
        await checkProduct(device, operands([2], rows - 1 || 1, columns + 1, 7, layouts[0]!), layouts[0]!);
      });
    }
    device.close();
  });
}

Deno.test("matmul() adds the parts of a split inner axis, empty ones too", async () => {
  const device = await openDevice({ kind: "gpu" });
  const variant = matmulVariants(device.profile)[0]!;
  const cases: Sizes[] = [[[], 36, 8, 300], [[2], 9, 7, 65]];
  await forcing({ variant, splits: 7 }, async () => {
    for (const attrs of layouts.slice(1, 3)) {
      for (const [batch, m, n, k] of cases) await checkProduct(device, operands(batch, m, n, k, attrs), attrs);
    }
  });
  device.close();
});

Deno.test("matmul() refuses operands in f16 where the adapter has none", async () => {
  const { gpu, adapter, profile } = await defaultDevice();
  const f = compile((a: Tensor, b: Tensor) => matmul(a, b), {
    device: new Device(gpu, adapter, { ...profile, f16: false }),
  });
  await assertRejects(
    () => f.program(placeholder([2, 2], "f16"), placeholder([2, 2])),
    UnsupportedError,
    "Cannot multiply f16 matrices: the adapter has no 16-bit floats",
  );
});

const { f16 } = (await defaultDevice()).profile;

testWhere(f16, "the adapter has none", "matmul() reads operands in f16 and accumulates in f32", async () => {
  for (const kind of ["cpu", "gpu"] as const) {
    const device = await openDevice({ kind });
    for (const [half, k] of [[[true, true], 2052], [[true, false], 21], [[false, true], 68]] as const) {
      const inputs = operands([], 33, 36, k, layouts[1]!);
      const rounded = inputs.map((t, i) => half[i] ? { ...t, data: Float32Array.from(t.data, Math.f16round) } : t);
      const stored = rounded.map((t, i): HostTensor => half[i] ? { ...t, data: halfBits(t.data), dtype: "f16" } : t);
      const [got] = await runOp(matmulOp, stored, layouts[1]!, device);
      const error = worstError(got!, rounded, layouts[1]!);
      assert(error < 1e-6, `${kind}, ${half}: error ${error}`);
    }
    device.close();
  }
});

Deno.test("chooseMatmul() takes small tiles for small results, large ones for large, and cuts long inner axes", async () => {
  const device = await openDevice();
  const cpu = { ...device.profile, kind: "cpu", subgroups: true, subgroupSize: 8 } as const;
  const gpu = { ...device.profile, kind: "gpu", workgroupThreads: 256 } as const;
  device.close();
  const chosen = (profile: DeviceProfile, m: number, n: number, k: number) => {
    const { variant, splits } = chooseMatmul(profile, { m, n, k, batch: 1 });
    return `${variant.name} / ${splits}`;
  };
  assertEquals(chosen(cpu, 16, 64, 64), "registers 16x32 shared / 1");
  assertEquals(chosen(cpu, 2080, 128, 128), "registers 32x32 shared / 1");
  assertEquals(chosen(cpu, 1024, 1024, 1024), "registers 64x64 shared / 1");
  assertEquals(chosen({ ...cpu, subgroupSize: 4 }, 2080, 128, 128), "registers 16x64 / 1");
  assertEquals(chosen(gpu, 4096, 4096, 4096), "workgroup 128x128 / 1");
  assertEquals(chosen(gpu, 64, 64, 65536), "workgroup 32x32 / 32");
});

Deno.test("matmul() infers the shape of the result", () => {
  assertEquals(matmul(placeholder([2, 3, 4]), placeholder([4, 5])).shape, [2, 3, 5]);
  assertEquals(matmul(placeholder([2, 4, 3]), placeholder([2, 5, 4]), { transposeA: true, transposeB: true }).shape, [
    2,
    3,
    5,
  ]);
});

Deno.test("matmul() refuses shapes that do not fit, with a sentence", () => {
  const refused = (a: number[], b: number[], attrs: Partial<MatmulAttrs>, words: string) => {
    assertThrows(() => matmul(placeholder(a), placeholder(b), attrs), RangeError, words);
  };
  refused([2, 3], [4, 5], {}, "Cannot multiply matrices f32[2,3] and f32[4,5]: the inner axes must be equal");
  refused([2, 3, 4], [3, 4, 5], {}, "the batch axes must be equal or 1: they are [2] and [3]");
  refused([2, 4, 3], [5, 4], { transposeA: true }, "(transposed)");
  assertThrows(() => matmul(placeholder([2, 2], "i32"), placeholder([2, 2])), RangeError, "both must be f32 or f16");
});

/** A graph of products and reshapes, computed on the host. */
function evaluate(t: Tensor, values: ReadonlyMap<Tensor, HostTensor>): HostTensor {
  const known = values.get(t);
  if (known) return known;
  const inputs = t.node.inputs.map((x) => evaluate(x, values));
  if (t.node.op.name !== "matmul") return { data: inputs[0]!.data, shape: t.shape };
  const { product } = reference(inputs, t.node.attrs as MatmulAttrs);
  return { data: Float32Array.from(product), shape: t.shape };
}

/** Derivatives of the sum of g * product by each element of one operand: the product is linear in it. */
function derivatives(inputs: HostTensor[], which: number, g: HostTensor, attrs: MatmulAttrs): number[] {
  return Array.from(inputs[which]!.data, (_, x) => {
    const one = { ...inputs[which]!, data: new Float32Array(inputs[which]!.data.length).fill(1, x, x + 1) };
    return reference(inputs.with(which, one), attrs).product.reduce((sum, y, i) => sum + y * g.data[i]!, 0);
  });
}

Deno.test("matmul() has the gradients of its definition", () => {
  const cases = layouts.flatMap((attrs) => [false, true].map((shared) => ({ attrs, shared, batch: [2, 3] })));
  for (const { attrs, shared, batch } of cases.filter((c) => !(c.shared && c.attrs.transposeA))) {
    const inputs = operands(batch, 3, 2, 4, attrs, shared);
    const g = { data: numbers(36, 3), shape: [...batch, 3, 2] };
    const [a, b, ct] = [...inputs, g].map((t) => placeholder(t.shape)) as [Tensor, Tensor, Tensor];
    const values = new Map([[a, inputs[0]!], [b, inputs[1]!], [ct, g]]);
    matmulOp.vjp!(new Node(matmulOp, [a, b], attrs), [ct]).forEach((gradient, which) => {
      const got = evaluate(gradient!, values);
      assertEquals(got.shape, inputs[which]!.shape);
      derivatives(inputs, which, g, attrs).forEach((x, i) => assertAlmostEquals(got.data[i]!, x, 1e-5));
    });
  }
});

Deno.test("matmul() of more matrices than one dimension of a dispatch holds", async () => {
  const device = await openDevice();
  await checkProduct(device, operands([70_000], 1, 1, 1, layouts[0]!), layouts[0]!);
  device.close();
});
