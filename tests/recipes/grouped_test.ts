import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { MlmBatch, PairBatch } from "../../src/data/pair_collate.ts";
import type { GritMode } from "../../src/grit/options.ts";
import { checkPermutation } from "../../src/grit/order.ts";
import { type Albef, encodeImage, encodeText } from "../../src/models/albef.ts";
import { initialize, type SpecTree } from "../../src/nn/spec.ts";
import { compile, toHost } from "../../src/program/compile.ts";
import type { HostArray } from "../../src/program/graph.ts";
import { type Avals, entries, type Tree } from "../../src/program/tree.ts";
import {
  collecting,
  type Grouped,
  grouped,
  type GroupedStream,
  type Numbered,
  type PairObjective,
  pairRecipes,
  patched,
} from "../../src/recipes/mod.ts";
import type { TrainBatch } from "../../src/train/task.ts";
import { train, type TrainOptions } from "../../src/train/train.ts";
import { snapshot } from "../testing/folders.ts";
import { assertClose } from "../testing/reference.ts";
import { EXAMPLES, World } from "../testing/world.ts";

const BATCH = 4; // 5 mini-batches an epoch and a tail of 1; the queue is full after 4
const SIZES = { miniBatch: BATCH, subQueue: 8, queue: 16 };

type RecipeName = keyof typeof pairRecipes;
type AnyObjective = PairObjective<SpecTree, Tree, PairBatch>;
type Stream = GroupedStream<SpecTree, Tree, PairBatch>;
type Input = Numbered<PairBatch>;

/** What a test makes of a run, and does beside it. */
interface Watch {
  readonly recipe?: RecipeName;
  readonly mode?: GritMode;
  readonly dropout?: number;
  readonly epochs?: number;
  readonly seen?: (batch: TrainBatch<Input>, extra: Grouped<Tree>, data: Stream) => void | Promise<void>;
  /** The process "dies" before this mini-batch. */
  readonly dies?: number;
}

/** The objective of a recipe with the defaults of its settings. */
function objectiveOf(world: World, recipe: RecipeName, dropout = 0.1): AnyObjective {
  const { fields, objective } = pairRecipes[recipe];
  const values = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.default]));
  return objective(world.setup(BATCH, dropout), { ...values, keyQueue: 16 } as never) as unknown as AnyObjective;
}

async function run(world: World, watch: Watch, options: Partial<TrainOptions>) {
  const { recipe = "grit", mode = "grit", dropout, dies = Infinity, epochs, seen } = watch;
  const objective = objectiveOf(world, recipe, dropout);
  await using loader = world.loader(objective.collate);
  const { data, ...task } = grouped(objective, {
    loader,
    embedding: world.config(0).embedding,
    sampler: { examples: EXAMPLES, seed: 9, mode, ...SIZES },
    ...(epochs === undefined ? {} : { epochs }),
  });
  let next = 0;
  const watched: typeof task & { data: Pick<Stream, "next" | "done" | "save" | "restore" | "close"> } = {
    ...task,
    data: {
      next: (at) => next++ === dies ? Promise.reject(new Error("died")) : data.next(at),
      async done(batch, extra) {
        await seen?.(batch, extra, data);
        await data.done(batch, extra);
      },
      save: () => data.save(),
      restore: (parts) => data.restore(parts),
      close: () => data.close(),
    },
  };
  return await train(watched, { steps: 11, seed: 9, learningRate: () => 1e-3, progress: false, ...options });
}

const indicesOf = ({ label }: { label: string }): number[] =>
  label.match(/\(examples (.*)\)/)![1]!.split(", ").map(Number);

const runs: readonly (readonly [RecipeName, GritMode])[] = [
  ["grit", "grit"],
  ["grit", "no-shuffle"],
  ["grit", "naive"],
  ["grit", "off"],
  ["albef", "grit"],
  ["retrieval", "naive"],
];
for (const [recipe, mode] of runs) {
  Deno.test(`${recipe}, mode ${mode}: every epoch is a permutation, a resumed run ends with the same bytes`, async () => {
    await using world = await World.make();
    const batches: TrainBatch<Input>[] = [];
    const whole = await run(world, {
      recipe,
      mode,
      seen: (batch, _, { sampler }) => {
        checkPermutation(sampler.order, EXAMPLES, `the order of epoch ${sampler.epoch}`);
        assertEquals(indicesOf(batch), [...sampler.batch(sampler.step)]);
        batches.push(batch);
      },
    }, { out: `${world.dir}/whole` });
    assertEquals(batches.map((b) => b.epoch), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2]);
    for (const epoch of [0, 1]) {
      const seen = batches.filter((b) => b.epoch === epoch).flatMap(indicesOf);
      assertEquals(new Set(seen).size, EXAMPLES - EXAMPLES % BATCH);
    }
    assert(Number.isFinite(whole.loss.last));

    const labels: string[] = [], seen = (b: { label: string }) => void labels.push(b.label);
    const part = { out: `${world.dir}/part`, checkpointEvery: 3 };
    await assertRejects(() => run(world, { recipe, mode, dies: 8, seen }, part), Error, "died"); // in mid-epoch 1
    assertEquals(labels.splice(6), batches.slice(6, 8).map((b) => b.label));
    const resumed = await run(world, { recipe, mode, seen }, { ...part, resume: true });
    assertEquals(labels, batches.map((b) => b.label));
    assertEquals(resumed.checkpoint!.sha256, whole.checkpoint!.sha256);
    assertEquals(resumed.loss, whole.loss);
  });
}

Deno.test("the queues hold the features that the steps have computed, row by row", async () => {
  await using world = await World.make();
  const config = world.config(0), inputs: Input[] = [];
  let queues: HostArray[] = [];
  const { params } = await run(world, {
    dropout: 0,
    seen: async ({ input }, { image, text }) => {
      inputs.push(input);
      queues = await toHost([image!, text!]); // the next step takes their memory over
    },
  }, { steps: 3, learningRate: () => 0, adamw: { weightDecay: 0 } });
  const features = compile((p: Tree, input: Input) => [
    encodeImage(p as Albef, patched(input, config).patches, { config }).features,
    encodeText(p as Albef, input, { config }).features,
  ]);
  const [image, text] = queues;
  for (const [i, input] of inputs.entries()) {
    const rows = (await toHost(await features(params as Tree, input))).map((f) => [...f]);
    const size = BATCH * config.embedding;
    assertClose(image!.subarray(i * size, (i + 1) * size), rows[0]!, 1e-5);
    assertClose(text!.subarray(i * size, (i + 1) * size), rows[1]!, 1e-5);
    assert(rows[0]!.some((x) => x !== 0));
  }
  assert(image!.subarray(3 * BATCH * config.embedding).every((x) => x === 0));
  features.destroy();
});

Deno.test("the task ends after its epochs", async () => {
  await using world = await World.make();
  const { steps } = await run(world, { mode: "naive", epochs: 1 }, { steps: 100 });
  assertEquals(steps, 5);
});

Deno.test("the state of another sampler is refused, before anything is written", async () => {
  await using world = await World.make();
  const objective = objectiveOf(world, "grit");
  await using loader = world.loader(objective.collate);
  const stream = (miniBatch: number): Stream =>
    grouped(objective, {
      loader,
      embedding: 8,
      sampler: { examples: EXAMPLES, seed: 9, ...SIZES, miniBatch },
    }).data;
  const saved = new Map(Object.entries(stream(4).save()));
  stream(4).restore(saved);
  assertThrows(() => stream(2).restore(saved), RangeError, "miniBatch");
  assertThrows(() => stream(4).restore(new Map()), SyntaxError, "the checkpoint has no state of the sampler");
  const broken = saved.get("sampler")!.slice();
  broken[9]! ^= 1;
  assertThrows(() => stream(4).restore(new Map([["sampler", broken]])), SyntaxError, "is damaged");

  const options = { out: `${world.dir}/run`, steps: 2 };
  await run(world, {}, options);
  const before = await snapshot(world.dir), files = { "settings.json": "{}" };
  await assertRejects(
    () => run(world, { mode: "naive" }, { ...options, files, resume: true }),
    Error,
    '"task.sampler.mode" was "grit" and is "naive" now',
  );
  assertEquals(await snapshot(world.dir), before);
});

Deno.test("collecting() adds nothing but the queues and the row", async () => {
  await using world = await World.make();
  const objective: AnyObjective = {
    ...objectiveOf(world, "albef"),
    trainable: (name) => name !== "temp",
    decays: () => false,
  };
  const own = collecting(objective, 0, 8);
  for (const rule of ["spec", "bounds", "decays", "trainable"] as const) assertEquals(own[rule], objective[rule], rule);
  assertEquals(own.input, { ...objective.input as Avals<MlmBatch>, row: { shape: [1], dtype: "u32" } } as never);
  const params = initialize(objective.spec, 1), extra = objective.extra!(params);
  assertEquals(entries(own.extra!(params)).map(([name]) => name), entries(extra, "own").map(([name]) => name));
  const names = entries(collecting(objective, 16, 8).extra!(params)).map(([name, t]) => `${name} ${t.shape}`);
  assertEquals(names.slice(-2), ["image 16,8", "text 16,8"]);
});
