import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { checkpoint, customVjp, grad, valueAndGrad, valueAndGradAux, vjp } from "../../src/autograd/grad.ts";
import { add, cast, exp, multiply, negate, square, tanh } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { dropout, foldIn, randomKey } from "../../src/ops/random.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { stopGradient } from "../../src/ops/shape.ts";
import { compile, item, tensor, toHost } from "../../src/program/compile.ts";
import { apply, type Op, type Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";

const lists = async (tensors: readonly Tensor[]): Promise<number[][]> => (await toHost(tensors)).map((d) => [...d]);

Deno.test("grad() gives a tree like the parameters, zero where they do not reach the loss", async () => {
  const params = { layers: [{ w: tensor([1, 2]) }, { w: tensor([3, 4]) }], unused: tensor([7], [1, 1]) };
  const loss = (p: typeof params, x: Tensor) => sum(multiply(multiply(p.layers[0]!.w, p.layers[1]!.w), x));
  const gradients = await compile(grad(loss))(params, tensor([1, 10]));
  assertEquals(Object.keys(gradients), ["layers", "unused"]);
  const { layers: [first, second], unused } = gradients;
  assertEquals(await lists([first!.w, second!.w, unused]), [[3, 40], [1, 20], [0]]);
  assertEquals(unused.shape, [1, 1]);
});

Deno.test("valueAndGrad() gives the loss too, valueAndGradAux() what else was computed", async () => {
  const f = compile((x: Tensor) => {
    const [loss, gradient, aux] = valueAndGradAux((y: Tensor): [Tensor, { y2: Tensor }] => {
      const y2 = square(y);
      return [sum(y2), { y2 }];
    })(x);
    return [loss, gradient, aux.y2, ...valueAndGrad((y: Tensor) => mean(y))(x)];
  });
  assertEquals(await lists(await f(tensor([1, 3]))), [[10], [2, 6], [1, 9], [2], [0.5, 0.5]]);
});

Deno.test("a value that is used many times gathers all its gradients", async () => {
  const f = (x: Tensor) => sum(add(multiply(x, x), add(multiply(x, tanh(x)), x)));
  const x = 0.7, expected = 2 * x + Math.tanh(x) + x * (1 - Math.tanh(x) ** 2) + 1;
  assertClose([await item(grad(f)(tensor(x)))], [expected]);
});

Deno.test("higher derivatives come from differentiating again", async () => {
  let f = (x: Tensor): Tensor => multiply(square(square(x)), x); // x^5
  const expected = [5, 20, 60, 120, 120];
  for (const [i, factor] of expected.entries()) {
    f = grad(f);
    assertClose([await item(f(tensor(2)))], [factor * 2 ** (4 - i)]);
  }
});

Deno.test("the gradient of a gradient's norm passes through a product", async () => {
  const penalty = (w: Tensor, x: Tensor) => sum(square(grad((v: Tensor) => sum(tanh(matmul(v, w))))(x)));
  const reference = (w: ArrayLike<number>, x: ArrayLike<number>) => {
    let total = 0;
    for (let i = 0; i < 3; i++) {
      for (let k = 0; k < 4; k++) {
        let slope = 0;
        for (let j = 0; j < 2; j++) {
          let z = 0;
          for (let l = 0; l < 4; l++) z += x[i * 4 + l]! * w[l * 2 + j]!;
          slope += (1 - Math.tanh(z) ** 2) * w[k * 2 + j]!;
        }
        total += slope * slope;
      }
    }
    return [total];
  };
  await checkOp(penalty, [randomTensor([4, 2], 1), randomTensor([3, 4], 2)], (w, x) => reference(w.data, x.data), {
    gradientTolerance: 3e-4,
  });
});

Deno.test("vjp() multiplies any cotangents with the Jacobian, and twice", async () => {
  const f = compile((x: Tensor, y: Tensor, ct: Tensor) => {
    const [result, back] = vjp((a: Tensor, b: Tensor) => ({ product: multiply(a, b), square: square(a) }), x, y);
    return [
      result.product,
      ...back({ product: ct, square: ct }),
      ...back({ product: multiply(ct, 2), square: negate(ct) }),
    ];
  });
  assertEquals(await lists(await f(tensor([2, 3]), tensor([5, 7]), tensor([1, 10]))), [
    ...[[10, 21], [9, 130], [2, 30]],
    ...[[6, 80], [4, 60]],
  ]);
});

Deno.test("customVjp() uses the rule that it is given, for several results, in first and second derivatives", async () => {
  const clipped = customVjp(
    (a, b) => [multiply(a!, b!), exp(a!)],
    (
      args,
      results,
      cts,
    ) => [multiply(cts[0] ?? 0, multiply(args[1]!, 100)), cts[1] ? multiply(cts[1], results[1]!) : null],
  );
  const loss = (k: number) => ([a, b]: Tensor[]) => sum(clipped(a!, b!)[k]!);
  const at = [tensor([1, 0]), tensor([2, 3])];
  assertEquals(await lists(grad(loss(0))(at)), [[200, 300], [0, 0]]);
  const [da, db] = await lists(grad(loss(1))(at));
  assertEquals(da, [0, 0]);
  assertClose(db!, [Math.E, 1]);
  const twice = grad((b: Tensor) => sum(grad((a: Tensor) => sum(clipped(a, b)[0]!))(at[0]!)))(at[1]!);
  assertEquals([...await toHost(twice)], [100, 100]);
});

Deno.test("stopGradient() keeps the value and stops the gradient", async () => {
  const f = grad((x: Tensor) => sum(multiply(stopGradient(square(x)), x)));
  assertEquals([...await toHost(f(tensor([2, 3])))], [4, 9]);
});

Deno.test("checkpoint() changes neither values nor gradients, also twice, nested and with dropout", async () => {
  const words = tensor(Uint32Array.of(1, 2));
  const block = (x: Tensor, w: Tensor) => dropout(tanh(matmul(x, w)), 0.3, foldIn(randomKey(words), 5));
  const nested = (x: Tensor, w: Tensor) => checkpoint(block)(checkpoint(block)(x, w), w);
  const loss = (f: typeof block) => (p: { w: Tensor }, x: Tensor) => sum(square(f(f(x, p.w), p.w)));
  const w = randomTensor([8, 8], 1), x = randomTensor([16, 8], 2);
  const args = [{ w: tensor(w.data, w.shape) }, tensor(x.data, x.shape)] as const;
  const run = async (f: typeof block) => {
    const [value, { w: gradient }] = await compile(valueAndGrad(loss(f)))(...args);
    return [await item(value), ...await toHost(gradient)];
  };
  const plain = await run(block), deep = await run((a, b) => block(block(a, b), b));
  assertClose(await run(checkpoint(block)), plain);
  assertClose(await run(nested), deep);
  assertClose(await run(checkpoint(nested)), deep);
  const curvature = (f: (v: Tensor) => Tensor) => grad((v: Tensor) => sum(square(grad((u: Tensor) => sum(f(u)))(v))));
  const at = tensor([0.3, -0.8]), cube = (v: Tensor) => multiply(square(v), tanh(v));
  assertClose(await toHost(curvature(checkpoint(cube))(at)), await toHost(curvature(cube)(at)));
});

Deno.test("a function that returns no scalar, or passes an op without a gradient rule, is refused", async () => {
  assertThrows(
    () => grad((x: Tensor) => square(x))(placeholder([2, 3])),
    RangeError,
    "Cannot take the gradient: the function must return a scalar: it returned f32[2,3]",
  );
  await assertRejects(
    () => compile(grad((x: Tensor) => square(x)))(tensor([1, 2])),
    RangeError,
    "it returned f32[2]",
  );
  const opaque: Op<null> = { name: "opaque", infer: ([x]) => [x!] };
  assertThrows(
    () => grad((x: Tensor) => sum(apply(opaque, [x], null)))(placeholder([2])),
    Error,
    "Cannot differentiate through opaque: it has no gradient rule; use stopGradient()",
  );
});

Deno.test("a gradient rule that gives a wrong shape is named", () => {
  const wrong: Op<null> = { name: "wrong", infer: ([x]) => [x!], vjp: (_, [ct]) => [sum(ct!)] };
  assertThrows(
    () => grad((x: Tensor) => sum(apply(wrong, [square(x)], null)))(placeholder([2])),
    Error,
    "gave [] for f32[2]",
  );
});

Deno.test("integers among the parameters have a gradient of zero", async () => {
  const loss = (p: { w: Tensor; n: Tensor }) => sum(multiply(p.w, cast(p.n, "f32")));
  const { w, n } = grad(loss)({ w: tensor([2, 3]), n: tensor(Int32Array.of(4, 5)) });
  assertEquals(await lists([w, n]), [[4, 5], [0, 0]]);
});
