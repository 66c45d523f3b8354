import { assertEquals } from "@std/assert";
import { checkpoint, customVjp, grad } from "../../src/autograd/grad.ts";
import { vmap } from "../../src/autograd/vmap.ts";
import * as ops from "../../src/ops/mod.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose, randomIds, randomTensor } from "../testing/reference.ts";

const { add, matmul, multiply, reshape, slice, square, stack, sum, tanh } = ops;

/** A function of one example, the shapes of its arguments, and which of them are of the batch. */
interface Case {
  readonly fn: (...args: Tensor[]) => Tensor;
  /** "f32" shapes, or [shape, number of ids]. */
  readonly args: readonly (readonly number[] | { readonly ids: readonly number[]; readonly below: number })[];
  /** Axes of the batch. Default: 0 for all. */
  readonly in?: readonly (number | null)[];
  /** Whether it runs for each element by itself, and so does its gradient ("gradient": that alone). */
  readonly unrolled?: true | "gradient";
}

const ids = (shape: readonly number[], below: number) => ({ ids: shape, below });
const window = { stride: 1, padding: 1 } as const;

const elementwise: Record<string, Case> = {
  "broadcasting of other ranks": { fn: (a, b) => multiply(tanh(a!), b!), args: [[2, 3], [3]] },
  "one operand the same for all": { fn: (a, b) => add(multiply(a!, b!), a!), args: [[3], [2, 3]], in: [0, null] },
  "the other one of the batch": {
    fn: (a, b) => ops.divide(a!, add(square(b!), 1)),
    args: [[2, 3], [3]],
    in: [null, 0],
  },
  "another axis": { fn: (a) => ops.exp(multiply(a!, 0.5)), args: [[2, 3]], in: [1] },
  "where and maximum": { fn: (a, b) => ops.where(ops.less(a!, 0), ops.maximum(a!, b!), b!), args: [[4], [4]] },
  "reductions": { fn: (a) => ops.concat([sum(a!, { axes: [0] }), ops.max(a!, { axes: [0] })], 0), args: [[3, 4]] },
  "variance and norms": {
    fn: (a) => stack([ops.variance(a!), ops.norm(a!), ops.prod(a!), ops.mean(a!)]),
    args: [[3, 2]],
  },
  "scans": { fn: (a) => add(ops.cumsum(a!, { axis: 0 }), ops.cumprod(a!)), args: [[3, 2]] },
  "softmax": { fn: (a) => ops.softmax(a!), args: [[2, 3]] },
  "logSoftmax along the first axis": { fn: (a) => ops.logSoftmax(a!, { axis: 0 }), args: [[3, 2]] },
  "logSumExp": { fn: (a) => ops.logSumExp(a!), args: [[5]] },
};

const shapes: Record<string, Case> = {
  "reshape and transpose": { fn: (a) => ops.transpose(reshape(a!, [3, 2, 2]), [2, 0, 1]), args: [[2, 6]] },
  "slices and concat": { fn: (a) => ops.concat([slice(a!, 0, 1, 2), slice(a!, 0, 0, 2)], 0), args: [[3, 2]] },
  "slices within rows": { fn: (a) => ops.concat([slice(a!, 1, 1, 3), slice(a!, 1, 0, 1)], 1), args: [[2, 3]] },
  "concat with a constant": { fn: (a, b) => ops.concat([a!, b!], 0), args: [[2, 2], [1, 2]], in: [0, null] },
  "split": { fn: (a) => ops.split(a!, 3).reduce((x, y) => multiply(x, y)), args: [[6]] },
  "broadcastTo": { fn: (a) => ops.broadcastTo(a!, [2, 3]), args: [[3]] },
  "flip, roll, pad, strided": {
    fn: (a) => ops.pad(ops.roll(ops.flip(ops.strided(a!, [{ axis: 1, step: 2 }])), 1, 0), [[1, 0], 1]),
    args: [[2, 5]],
  },
  "tril and diagonal": { fn: (a) => add(ops.tril(a!), ops.diagonal(a!)), args: [[3, 3]] },
  "sort": { fn: (a) => ops.sort(a!), args: [[5]] },
  "topK": { fn: (a) => ops.topK(a!, 2, { axis: 0 })[0], args: [[4, 2]] },
};

const lookups: Record<string, Case> = {
  "gather of other ids": { fn: (t, i) => ops.gather(t!, i!), args: [[4, 2], ids([3], 4)], in: [null, 0] },
  "gather of other tables": { fn: (t, i) => ops.gather(t!, i!), args: [[4, 2], ids([3], 6)], in: [0, null] },
  "gather of both": { fn: (t, i) => ops.gather(t!, i!), args: [[4, 2], ids([3], 6)] },
  "gather with padding": {
    fn: (t, i) => ops.gather(t!, i!, { paddingIndex: 1 }),
    args: [[4, 2], ids([3], 4)],
    in: [null, 0],
  },
  "take": { fn: (t, i) => ops.take(t!, i!, 1, { fill: 0 }), args: [[2, 4, 2], ids([3, 2], 6)], unrolled: "gradient" },
  "take of other indices": {
    fn: (t, i) => ops.take(t!, i!, 0, { fill: 0 }),
    args: [[4, 2], ids([3], 6)],
    in: [null, 0],
  },
  "takeAlongAxis": { fn: (t, i) => ops.takeAlongAxis(t!, i!, 0), args: [[4, 2], ids([3, 2], 4)] },
  "scatterAdd": { fn: (t, i) => ops.scatterAdd(t!, i!, 4), args: [[3, 2], ids([3], 6)] },
};

const products: Record<string, Case> = {
  "matmul": { fn: (a, b) => matmul(a!, b!), args: [[2, 3], [3, 2]] },
  "matmul by a constant": { fn: (a, b) => matmul(a!, b!), args: [[2, 3], [3, 2]], in: [0, null] },
  "a constant times vectors": { fn: (a, b) => matmul(a!, b!), args: [[2, 3], [3]], in: [null, 0] },
  "matmul of batches by matrices": { fn: (a, b) => matmul(a!, b!), args: [[2, 2, 3], [3, 2]] },
  "einsum": { fn: (a, b) => ops.einsum("ij,jk->ki", a!, b!), args: [[2, 3], [3, 2]] },
};

const layers: Record<string, Case> = {
  "layerNorm": { fn: (x, w, b) => ops.layerNorm(x!, w!, b!, 1e-3), args: [[2, 4], [4], [4]], in: [0, null, null] },
  "layerNorm by other weights": { fn: (x, w, b) => ops.layerNorm(x!, w!, b!, 1e-3), args: [[2, 4], [4], [4]] },
  "layerNorm of one input": {
    fn: (x, w, b) => ops.layerNorm(x!, w!, b!, 1e-3),
    args: [[2, 4], [4], [4]],
    in: [null, 0, 0],
  },
  "attention with a bias": {
    fn: (q, k, m) => ops.attention(q!, k!, k!, { heads: 2, mask: m, causal: true }),
    args: [[2, 3, 4], [2, 3, 4], [1, 1, 3, 3]],
    in: [0, 0, null],
  },
  "crossEntropy": { fn: (x, i) => ops.crossEntropy(x!, i!)[0], args: [[2, 5], ids([2], 5)] },
  "maxPool2d": { fn: (x) => ops.maxPool2d(x!, 2), args: [[1, 2, 4, 4]] },
  "resize": { fn: (x) => ops.resize(x!, [3, 5], { method: "bilinear" }), args: [[2, 2]] },
  "conv2d by a constant": {
    fn: (x, w) => ops.conv2d(x!, w!, window),
    args: [[1, 2, 3, 4], [2, 2, 2, 2]],
    in: [0, null],
    unrolled: "gradient",
  },
  "conv2d": { fn: (x, w) => ops.conv2d(x!, w!, window), args: [[1, 2, 3, 4], [2, 2, 2, 2]], unrolled: true },
  "a rule of one's own": {
    fn: (x, y) => customVjp((a) => [square(a!)], ([a], _, [ct]) => [multiply(ct!, multiply(a!, y!))])(x!)[0]!,
    args: [[3], [3]],
  },
  "checkpoint": {
    fn: (x, w) => checkpoint((a: Tensor, b: Tensor) => tanh(matmul(a, b)))(x!, w!),
    args: [[2, 3], [3, 2]],
  },
};

const isIds = (arg: Case["args"][number]): arg is { readonly ids: readonly number[]; readonly below: number } =>
  "ids" in arg;

/** The result, and the gradient of the sum of its squares by each float argument. */
function withGradients({ fn, args }: Case): (...given: Tensor[]) => Tensor[] {
  const floats = args.flatMap((arg, i) => isIds(arg) ? [] : [i]);
  return (
    ...given
  ) => [fn(...given), ...grad((...all: Tensor[]) => sum(square(fn(...all))), { argnums: floats })(...given)];
}

/** The arguments of a batch of `size`. */
function argumentsOf({ args, in: axes }: Case, size: number): Tensor[] {
  return args.map((arg, i) => {
    const axis = axes ? axes[i]! : 0, own = isIds(arg) ? arg.ids : arg;
    const shape = axis === null ? own : own.toSpliced(axis, 0, size);
    const { data } = isIds(arg) ? randomIds(shape, i + 1, 0, arg.below, "u32") : randomTensor(shape, i + 1);
    return tensor(data, shape);
  });
}

const axesOf = ({ args, in: axes }: Case): (number | null)[] => [...axes ?? args.map(() => 0)];

/** Example by example, results one over the other. */
function looped(c: Case, size: number, fn: (...given: Tensor[]) => Tensor[]): (...given: Tensor[]) => Tensor[] {
  return (...given) => {
    const each = Array.from({ length: size }, (_, i) =>
      fn(...given.map((x, k) => {
        const axis = axesOf(c)[k]!;
        return axis === null ? x : reshape(slice(x, axis, i, i + 1), x.shape.toSpliced(axis, 1));
      })));
    return each[0]!.map((_, r) => stack(each.map((results) => results[r]!)));
  };
}

for (const [family, cases] of Object.entries({ elementwise, shapes, lookups, products, layers })) {
  Deno.test(`vmap() equals a loop, and so do gradients by example: ${family}`, async () => {
    const size = 3, all = Object.values(cases);
    const both = compile((given: Tensor[][]) =>
      all.map((c, i) => {
        const fn = withGradients(c);
        return [vmap(fn, { in: axesOf(c) })(...given[i]!), looped(c, size, fn)(...given[i]!)];
      })
    );
    const results = await both(all.map((c) => argumentsOf(c, size)));
    for (const [i, name] of Object.keys(cases).entries()) {
      const [batched, loop] = results[i]!;
      assertEquals(batched!.map(String), loop!.map(String), name);
      const [actual, expected] = [await toHost(batched!), await toHost(loop!)];
      actual.forEach((values, k) => {
        try {
          assertClose(values, expected[k]!, 2e-6, 2e-6);
        } catch (error) {
          throw new Error(`${name}, ${k ? `gradient ${k}` : "the result"}: ${(error as Error).message}`);
        }
      });
    }
  });
}

Deno.test("a rule takes the whole batch: kernels do not grow in number with it", async () => {
  const kernels = async (c: Case, fn: (...given: Tensor[]) => Tensor[], size: number): Promise<number> => {
    const f = compile((given: Tensor[]) => vmap(fn, { in: axesOf(c) })(...given));
    return (await f.program(argumentsOf(c, size))).plan.steps.length;
  };
  for (const cases of [elementwise, shapes, lookups, products, layers]) {
    for (const [name, c] of Object.entries(cases)) {
      for (const part of ["result", "gradient"] as const) {
        const fn = part === "result" ? (...given: Tensor[]) => [c.fn(...given)] : withGradients(c);
        const grows = await kernels(c, fn, 3) < await kernels(c, fn, 7);
        assertEquals(grows, c.unrolled === true || c.unrolled === part, `${name}, ${part}`);
      }
    }
  }
});
