import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { scan } from "../../src/autograd/scan.ts";
import { vmap } from "../../src/autograd/vmap.ts";
import * as ops from "../../src/ops/mod.ts";
import { adafactor } from "../../src/optim/adafactor.ts";
import { adam, adamw, lion, rmsprop, sgd } from "../../src/optim/optimizers.ts";
import { compile, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertRefused, type Refusal } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

const x = placeholder([4, 6]), images = placeholder([2, 3, 8, 8]), line = placeholder([2, 3, 8]);
const ids = placeholder([4], "u32"), grid = placeholder([4, 6], "u32"), bytes = placeholder([1, 48], "u32");
const key = ops.randomKey(placeholder([2], "u32")), c3 = placeholder([3]);
const running = { running_mean: c3, running_var: c3 };

/** Ops with options, called with something in their place, as JavaScript lets one. */
const calls: Readonly<Record<string, (given: never) => unknown>> = {
  ...Object.fromEntries(
    ([
      ...["sum", "mean", "max", "min", "prod", "any", "all", "variance", "std", "norm", "l2Normalize", "logSumExp"],
      ...["softmax", "logSoftmax", "cumsum", "cumprod", "logCumsumExp", "argmax", "argmin", "sort", "argsort", "gelu"],
      "rotaryEmbedding",
    ] as (keyof typeof ops)[]).map((name) => [
      name,
      (given: never) => (ops[name] as unknown as (x: Tensor, given: never) => Tensor)(x, given),
    ]),
  ),
  topK: (given) => ops.topK(x, 2, given),
  matmul: (given) => ops.matmul(x, x, given),
  attention: (given) => ops.attention(line, line, line, given),
  conv1d: (given) => ops.conv1d(line, placeholder([4, 3, 3]), given),
  conv2d: (given) => ops.conv2d(images, placeholder([4, 3, 3, 3]), given),
  convTranspose2d: (given) => ops.convTranspose2d(images, placeholder([3, 4, 2, 2]), given),
  maxPool1d: (given) => ops.maxPool1d(line, 2, given),
  maxPool2d: (given) => ops.maxPool2d(images, 2, given),
  avgPool1d: (given) => ops.avgPool1d(line, 2, given),
  avgPool2d: (given) => ops.avgPool2d(images, 2, given),
  resize: (given) => ops.resize(images, [4, 4], given),
  batchNorm: (given) => ops.batchNorm(images, c3, c3, running, given),
  pad: (given) => ops.pad(x, [1, 1], given),
  oneHot: (given) => ops.oneHot(ids, 5, given),
  meshgrid: (given) => ops.meshgrid([c3, c3], given),
  eye: (given) => ops.eye(3, given),
  crossEntropy: (given) => ops.crossEntropy(x, ids, given),
  gather: (given) => ops.gather(x, ids, given),
  scatterAdd: (given) => ops.scatterAdd(x, ids, 5, given),
  take: (given) => ops.take(x, ids, 0, given),
  takeAlongAxis: (given) => ops.takeAlongAxis(x, grid, 0, given),
  patchifyBytes: (given) => ops.patchifyBytes(bytes, given),
  uniform: (given) => ops.uniform(key, [3], given),
  normal: (given) => ops.normal(key, [3], given),
  categorical: (given) => ops.categorical(key, x, given),
  choice: (given) => ops.choice(key, 5, 2, given),
};

/** Functions that are no ops. */
const others: Readonly<Record<string, (given: never) => unknown>> = {
  tensor: (given) => tensor([1], [1], "f32", given),
  compile: (given) => compile((x: Tensor) => x, given),
  grad: (given) => grad((x: Tensor) => x, given),
  vmap: (given) => vmap((x: Tensor) => x, given)(x),
  scan: (given) => scan((c: Tensor) => [c, c], x, x, given),
  sgd: (given) => sgd(0.1, given),
  adam: (given) => adam(0.1, given),
  adamw: (given) => adamw(0.1, given),
  lion: (given) => lion(0.1, given),
  rmsprop: (given) => rmsprop(0.1, given),
  adafactor: (given) => adafactor(0.1, given),
};

Deno.test("a number, a list, a tensor and a misspelt option in the place of options are refused, for every op", async () => {
  await assertRefused(
    ...Object.entries({ ...calls, ...others }).flatMap(([name, call]): Refusal[] => [
      [() => call(2 as never), `Cannot apply ${name}: options must be a record, as in { `, TypeError],
      [() => call([0, 1] as never), `Cannot apply ${name}: options must be a record, as in { `, TypeError],
      [() => call(x as never), "they are f32[4,6]", TypeError],
      [() => call(null as never), "they are null", TypeError],
      [() => call({ dim: 1 } as never), `Cannot apply ${name}: options must be among `, TypeError],
    ]),
  );
});

Deno.test("what refuses options says what to write", async () => {
  const wrong = (value: unknown): never => value as never;
  await assertRefused(
    [() => ops.sum(x, wrong(1)), "options must be a record, as in { axes: [1] }: they are 1", TypeError],
    [() => ops.mean(x, wrong([0, 1])), "options must be a record, as in { axes: [0,1] }: they are [0,1]", TypeError],
    [() => ops.softmax(x, wrong(1)), "options must be a record, as in { axis: 1 }: they are 1", TypeError],
    [() => ops.matmul(x, x, wrong(true)), "as in { transposeA: true }: they are true", TypeError],
    [() => ops.conv2d(images, images, wrong(c3)), "as in { bias: ... }: they are f32[3]", TypeError],
    [() => ops.sum(x, wrong({ axis: 1 })), `options must be among axes, keepDims: there is "axis"`, TypeError],
    [() => ops.sum(x, wrong({ toString: 1 })), `there is "toString"`, TypeError],
    [() => ops.sum(x, wrong({ axes: 1 })), "axes must be a list, as in { axes: [1] }: it is 1", TypeError],
    [() => grad((x: Tensor) => x, wrong(1)), "as in { argnums: 1 }: they are 1", TypeError],
    [() => vmap((x: Tensor) => x, wrong([null, 0])), "as in { in: [null,0] }: they are [null,0]", TypeError],
  );
});

Deno.test("every op that has options is among those that are tested", async () => {
  const folder = new URL("../../src/ops/", import.meta.url), found = new Set<string>();
  for await (const { name } of Deno.readDir(folder)) {
    const source = await Deno.readTextFile(new URL(name, folder));
    for (const [, fn] of source.matchAll(/^export function (\w+)\([^)]*(?:Options\b|Partial<MatmulAttrs>)/gm)) {
      if (fn! in ops) found.add(fn!);
    }
  }
  assertEquals([...found].sort(), Object.keys(calls).sort());
});
