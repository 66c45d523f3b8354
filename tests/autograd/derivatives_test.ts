import { assertEquals, assertThrows } from "@std/assert";
import { hessian, hessianVectorProduct, jacobian, jvp } from "../../src/autograd/derivatives.ts";
import { grad } from "../../src/autograd/grad.ts";
import { vmap } from "../../src/autograd/vmap.ts";
import { attention } from "../../src/ops/attention.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { add, cast, exp, multiply, square, tanh } from "../../src/ops/elementwise.ts";
import { gather } from "../../src/ops/gather.ts";
import { layerNorm } from "../../src/ops/layer_norm.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { full } from "../../src/ops/full.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { reshape, slice } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";

const lists = async (tensors: readonly Tensor[]): Promise<number[][]> => (await toHost(tensors)).map((d) => [...d]);

Deno.test("jvp() multiplies tangents with the Jacobian, of several arguments and results", async () => {
  const f = (x: Tensor, p: { w: Tensor }) => ({
    y: tanh(matmul(p.w, x)),
    n: cast(x, "i32"),
    none: full([2], 3),
    s: sum(square(x)),
  });
  const x = [0.5, -1, 2], w = [0.1, 0.7, -0.3, 0.4, -0.2, 0.9], dx = [1, -2, 0.5], dw = [0.3, 0.1, -1, 0, 2, 1];
  const [result, tangents] = await compile((x: Tensor, w: Tensor, dx: Tensor, dw: Tensor) =>
    jvp(f, [x, { w }], [dx, { w: dw }])
  )(
    ...[tensor(x), tensor(w, [2, 3]), tensor(dx), tensor(dw, [2, 3])] as const,
  );
  const rows = [0, 1].map((i) => {
    const z = x.reduce((s, v, j) => s + v * w[3 * i + j]!, 0),
      dz = x.reduce((s, v, j) => s + v * dw[3 * i + j]! + dx[j]! * w[3 * i + j]!, 0);
    return [Math.tanh(z), (1 - Math.tanh(z) ** 2) * dz] as const;
  });
  assertClose((await lists([result.y]))[0]!, rows.map((r) => r[0]));
  assertClose((await lists([tangents.y]))[0]!, rows.map((r) => r[1]));
  assertEquals(await lists([result.s, tangents.s, tangents.none, tangents.n]), [[5.25], [2 * (0.5 + 2 + 1)], [0, 0], [
    0,
    0,
    0,
  ]]);
});

/** A transformer's layer and loss in small, with every op whose gradient is a kernel of its own. */
function layer(p: { w: Tensor; table: Tensor; gamma: Tensor }, ids: Tensor, labels: Tensor): Tensor {
  const x = reshape(gather(p.table, ids, { paddingIndex: 1 }), [1, 3, 4]);
  const normal = layerNorm(x, p.gamma, full([4], 0.1), 1e-3);
  const mixed = add(x, attention(normal, matmul(normal, p.w), normal, { heads: 2 }));
  return mean(crossEntropy(reshape(mixed, [3, 4]), labels)[0]);
}

Deno.test("hessianVectorProduct() and jvp() of the gradient are the differences of the gradient", async () => {
  const ids = tensor(Uint32Array.of(2, 0, 3)), labels = tensor(Uint32Array.of(1, 3, 0));
  const host = { w: randomTensor([4, 4], 1), table: randomTensor([4, 4], 2), gamma: randomTensor([4], 3, 0.5, 1) };
  const away = { w: randomTensor([4, 4], 4), table: randomTensor([4, 4], 5), gamma: randomTensor([4], 6) };
  const names = ["w", "table", "gamma"] as const;
  const at = (h: number) => {
    const [w, table, gamma] = names.map((n) =>
      tensor(host[n].data.map((v, i) => v + h * away[n].data[i]!), host[n].shape)
    );
    return { w: w!, table: table!, gamma: gamma! };
  };
  const v = Object.fromEntries(names.map((n) => [n, tensor(away[n].data, away[n].shape)])) as ReturnType<typeof at>;
  const slope = (p: ReturnType<typeof at>) => grad(layer)(p, ids, labels);
  const both = await compile((p: ReturnType<typeof at>, v: ReturnType<typeof at>) => {
    const [, forward] = jvp(slope, [p], [v]);
    return [hessianVectorProduct(layer)(p, v, ids, labels), forward];
  })(at(0), v);
  const gradient = compile(slope), step = 0.02;
  const [above, below, above2, below2] = await Promise.all(
    [step, -step, 2 * step, -2 * step].map((h) => gradient(at(h))),
  );
  for (const name of names) {
    const [a, b, a2, b2] = await lists([above![name], below![name], above2![name], below2![name]]);
    const expected = a!.map((y, i) => (8 * (y - b![i]!) - (a2![i]! - b2![i]!)) / (12 * step));
    for (const found of both) assertClose((await lists([found![name]]))[0]!, expected, 1e-3, 3e-4);
  }
});

Deno.test("jacobian() and hessian() are the matrices, of any shapes", async () => {
  const f = (x: Tensor) => multiply(exp(slice(reshape(x, [4]), 0, 0, 3)), sum(x));
  const x = [0.1, -0.4, 0.3, 0.7], total = 0.7;
  const j = await compile(jacobian(f))(tensor(x, [2, 2]));
  assertEquals(j.shape, [3, 2, 2]);
  assertClose(
    await toHost(j),
    [0, 1, 2].flatMap((i) => x.map((_, k) => Math.exp(x[i]!) * (1 + (i === k ? total : 0)))),
  );
  const cubic = (v: Tensor) => sum(multiply(square(v), slice(v, 0, 0, 1))); // x0 (x0^2 + x1^2): 6 x0, 2 x1; 2 x1, 2 x0
  assertEquals(await lists([hessian(cubic)(tensor([2, 5]))]), [[12, 10, 10, 4]]);
  const each = vmap(hessian(cubic))(tensor([[2, 5], [1, 0]]));
  assertEquals(await lists([each]), [[12, 10, 10, 4, 6, 0, 0, 2]]);
});

Deno.test("tangents and vectors that are not like the arguments are refused", () => {
  const x = placeholder([2]), y = placeholder([3]);
  assertThrows(
    () => jvp((v: Tensor) => v, [x], [y]),
    RangeError,
    "the tangents must be shaped as [f32[2]]: they are [f32[3]]",
  );
  assertThrows(
    () => hessianVectorProduct((v: Tensor) => sum(v))(x, y),
    RangeError,
    "the vector must be shaped as [f32[2]]",
  );
});
