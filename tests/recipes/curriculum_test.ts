import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import type { PairBatch } from "../../src/data/pair_collate.ts";
import { resizePositionTable } from "../../src/io/posembed.ts";
import { positionsFor } from "../../src/models/vit_positions.ts";
import type { SpecTree } from "../../src/nn/spec.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { grouped } from "../../src/recipes/grouped.ts";
import {
  efficientTrain,
  type PairObjective,
  pairRecipes,
  phaseAt,
  phased,
  PhasedLoaders,
  phaseSetup,
} from "../../src/recipes/mod.ts";
import { train, type TrainOptions } from "../../src/train/train.ts";
import { assertClose } from "../testing/reference.ts";
import { EXAMPLES, World } from "../testing/world.ts";

Deno.test("efficientTrain() plans 60, 20 and 20 % of the epochs, whole patches, and ends on whole images", () => {
  const plan = (epochs: number, resolution: number, patch: number) =>
    efficientTrain(epochs, { resolution, patch } as never).map((p) => [p.epoch, p.resolution]);
  assertEquals(plan(300, 224, 16), [[0, 160], [180, 192], [240, 224]]); // the paper's
  assertEquals(plan(10, 64, 8), [[0, 48], [6, 56], [8, 64]]);
  assertEquals(plan(5, 256, 16), [[0, 176], [3, 224], [4, 256]]);
  assertEquals(plan(4.2, 64, 8), [[0, 48], [3, 64]]);
  assertEquals(plan(1, 64, 8), [[0, 64]]);
  assertEquals(plan(10, 21 * 2, 7).map(([, side]) => side! % 14), [0, 0, 0]);
  assertThrows(() => plan(0, 64, 8), RangeError, "at least one epoch: it is 0");
  const phases = efficientTrain(10, { resolution: 64, patch: 8 } as never);
  assertEquals([0, 5, 6, 7, 8, 99].map((epoch) => phaseAt(phases, epoch)), [0, 0, 1, 1, 2, 2]);
  assertEquals(phases.map(({ strength }) => strength), [0.3, 0.7, 0.9]);
});

Deno.test("positionsFor() resizes as the loader of checkpoints does, and its gradient is the transpose", async () => {
  const width = 5, at = (i: number): number => Math.sin(3 * i + 1);
  for (const [from, to] of [[8, 6], [8, 7], [4, 3], [2, 1], [1, 2], [3, 5]] as const) {
    const table = Float32Array.from({ length: (1 + from * from) * width }, (_, i) => at(i));
    const weights = Float32Array.from({ length: (1 + to * to) * width }, (_, i) => at(7 * i));
    const expected = resizePositionTable(table, width, 1 + to * to);
    const run = compile((table: Tensor, weights: Tensor) => {
      const [value, gradient] = valueAndGrad((t: Tensor) => sum(multiply(positionsFor(t, to * to), weights)))(
        table,
      );
      return { value, gradient, resized: positionsFor(table, to * to) };
    });
    const { gradient, resized } = await run(
      tensor(table, [1, 1 + from * from, width]),
      tensor(weights, [1, 1 + to * to, width]),
    );
    assertClose(await toHost(resized), expected, 1e-5);
    // Of every entry of the table, the resized table that has a 1 there against the weights.
    const transpose = table.map((_, i) => {
      const unit = new Float32Array(table.length);
      unit[i] = 1;
      return resizePositionTable(unit, width, 1 + to * to).reduce((n, x, j) => n + x * weights[j]!, 0);
    });
    assertClose(await toHost(gradient), transpose, 1e-5);
  }
  assertThrows(
    () => positionsFor(tensor(new Float32Array(10), [1, 10, 1]), 6),
    RangeError,
    "they have 9 and 6 patches",
  );
});

type AnyObjective = PairObjective<SpecTree, Tree, PairBatch>;

/** A run of a recipe on a world of 16 pixels through all phases. */
async function run(
  world: World,
  recipe: keyof typeof pairRecipes,
  epochs: number,
  options: Partial<TrainOptions>,
  dies = Infinity,
) {
  const batch = 4, plain = world.setup(batch, 0.1), { fields, objective } = pairRecipes[recipe];
  const vision = { ...plain.config.vision, patch: 4 }, setup = { ...plain, config: { ...plain.config, vision } };
  const values = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.default]));
  const make = (s: typeof setup) => objective(s, { ...values, keyQueue: 16 } as never) as unknown as AnyObjective;
  const phases = efficientTrain(epochs, vision), objectives = phases.map((phase) => make(phaseSetup(setup, phase)));
  await using loaders = new PhasedLoaders(world.dataset, phases, objectives, { seed: 3 });
  const { data, ...task } = grouped(phased(make(setup), objectives), {
    loader: (epoch) => loaders.at(epoch),
    embedding: setup.config.embedding,
    sampler: { examples: EXAMPLES, seed: 9, mode: "grit", miniBatch: batch, subQueue: 8, queue: 16 },
  });
  const sizes: number[][] = [], said: string[] = [];
  const watched: Pick<typeof data, "next" | "done" | "save" | "restore" | "close"> = {
    async next(at) {
      if (at.step === dies) throw new Error("died");
      const given = await data.next(at);
      if (given) (sizes[given.epoch] ??= []).push(given.input.images.shape[1]!);
      return given;
    },
    done: (given, extra) => data.done(given, extra),
    save: () => data.save(),
    restore: (parts) => data.restore(parts),
    close: () => data.close(),
  };
  const result = await train({ ...task, data: watched }, {
    steps: epochs * Math.floor(EXAMPLES / batch),
    learningRate: () => 1e-3,
    progress: (line) => void said.push(line),
    ...options,
  });
  return { ...result, sizes, said };
}

Deno.test("a curriculum goes from small images to whole ones, compiled ahead, and resumes to the same bytes", async () => {
  await using world = await World.make();
  const common = { seed: 5, logEvery: 5, checkpointEvery: 7 };
  const whole = await run(world, "grit", 5, { ...common, out: `${world.dir}/whole` });
  // Of 16 pixels 5/7 and 6/7 are 12, in patches of 4.
  assertEquals(whole.sizes.map((words) => [...new Set(words)]), [[108], [108], [108], [108], [192]]);
  assertEquals(whole.sizes.flat().length, 25);
  const part = { ...common, out: `${world.dir}/part` };
  for (const dies of [9, 23]) {
    await assertRejects(
      () => run(world, "grit", 5, { ...part, ...(dies > 9 ? { resume: true } : {}) }, dies),
      Error,
      "died",
    );
  }
  const resumed = await run(world, "grit", 5, { ...part, resume: true });
  assertEquals(resumed.checkpoint!.sha256, whole.checkpoint!.sha256);
});

for (const recipe of ["albef", "tcl", "siglip"] as const) {
  Deno.test(`${recipe} is trained on images of all sizes`, async () => {
    await using world = await World.make();
    const { sizes, loss, steps } = await run(world, recipe, 2, {});
    assertEquals([steps, sizes.map((words) => [...new Set(words)])], [10, [[108], [192]]]);
    assert(Number.isFinite(loss.last));
  });
}
