import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openDataset } from "../../src/data/datasets.ts";
import { Loader } from "../../src/data/loader.ts";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { buildTokenizer, type Tokenizer } from "../../src/data/tokenizer.ts";
import type { Dataset } from "../../src/data/datasets.ts";
import type { GritMode } from "../../src/grit/options.ts";
import { checkPermutation } from "../../src/grit/order.ts";
import { type Albef, type AlbefSpec, encodeImage, encodeText } from "../../src/models/albef.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { compile, read } from "../../src/program/compile.ts";
import {
  imagePatches,
  PRETRAINING_LAYOUT,
  PRETRAINING_METRICS,
  PretrainingTask,
  type PretrainInput,
  type Queues,
} from "../../src/tasks/pretraining.ts";
import type { Task, TrainBatch } from "../../src/train/task.ts";
import { train, type TrainOptions } from "../../src/train/train.ts";
import { assertClose } from "../testing/reference.ts";

const EXAMPLES = 21, BATCH = 4, LENGTH = 12; // 5 mini-batches an epoch and a tail of 1; the queue is full after 4
const SIZES = { miniBatch: BATCH, subQueue: 8, queue: 16 };
const MODES: readonly GritMode[] = ["grit", "no-shuffle", "naive", "off"];

type PretrainTask = Task<AlbefSpec, Queues, PretrainInput>;

/** Scenes of 16 pixels on disk, and what reads them. */
class World implements AsyncDisposable {
  private constructor(readonly dir: string, readonly dataset: Dataset, readonly tokenizer: Tokenizer) {}

  static async make(): Promise<World> {
    const dir = await Deno.makeTempDir();
    await writeScenes(`${dir}/scenes`, { train: EXAMPLES, val: 0, test: 0, size: 16, captions: 2 });
    const { captions, images } = sceneFiles(`${dir}/scenes`, "train");
    const dataset = await openDataset({ data: [captions], images, groupBy: "image" });
    const texts = Array.from({ length: dataset.length }, (_, i) => dataset.entry(i).captions).flat();
    return new World(dir, dataset, buildTokenizer(texts, { size: 120 }));
  }

  config(dropout: number): AlbefConfig {
    const size = { width: 16, heads: 2 };
    const vocabulary = Math.ceil(this.tokenizer.vocabularySize / 4) * 4;
    return {
      vision: { resolution: 16, patch: 8, depth: 1, eps: 1e-6, ...size },
      text: {
        vocabulary,
        layers: 2,
        fusionLayer: 1,
        intermediate: 32,
        maxPositions: LENGTH,
        encoderWidth: 16,
        padId: this.tokenizer.padId,
        dropout,
        eps: 1e-12,
        ...size,
      },
      embedding: 8,
    };
  }

  loader(): Loader {
    const options = {
      resolution: 16,
      maxLength: LENGTH,
      transform: "train",
      cropArea: null,
      randAugment: false,
    } as const;
    return new Loader(this.dataset, this.tokenizer, { ...options, seed: 3 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** What a test does beside the task. */
interface Watch {
  readonly seen?: (batch: TrainBatch<PretrainInput>, extra: Queues, task: PretrainingTask) => void | Promise<void>;
  /** The process "dies" before this mini-batch. */
  readonly dies?: number;
  readonly dropout?: number;
  readonly epochs?: number;
}

async function run(world: World, mode: GritMode, watch: Watch, options: Partial<TrainOptions<AlbefSpec>>) {
  const { dropout = 0.1, dies = Infinity, epochs } = watch;
  await using loader = world.loader();
  const task = new PretrainingTask({
    config: world.config(dropout),
    loader,
    textLength: LENGTH,
    sampler: { examples: EXAMPLES, seed: 9, mode, ...SIZES },
    seed: 9,
    ...(epochs === undefined ? {} : { epochs }),
  });
  let next = 0;
  const watched: PretrainTask = {
    spec: task.spec,
    settings: task.settings,
    extra: task.extra,
    initial: (name) => task.initial(name),
    loss: (...args) => task.loss(...args),
    next: (params) => next++ === dies ? Promise.reject(new Error("died")) : task.next(params),
    async done(batch, extra) {
      await watch.seen?.(batch, extra, task);
      await task.done(batch, extra);
    },
    save: () => task.save(),
    restore: (parts) => task.restore(parts),
    close: () => task.close(),
  };
  return await train(watched, PRETRAINING_METRICS, {
    steps: 11,
    learningRate: () => 1e-3,
    layout: PRETRAINING_LAYOUT,
    progress: false,
    ...options,
  });
}

const indicesOf = ({ label }: { label: string }): number[] =>
  label.match(/\(examples (.*)\)/)![1]!.split(", ").map(Number);

for (const mode of MODES) {
  Deno.test(`mode ${mode}: every epoch is a permutation, and a resumed run ends with the same bytes`, async () => {
    await using world = await World.make();
    const batches: TrainBatch<PretrainInput>[] = [];
    const whole = await run(world, mode, {
      seen: (batch, _, { sampler }) => {
        checkPermutation(sampler.order, EXAMPLES, `the order of epoch ${sampler.epoch}`);
        assertEquals(indicesOf(batch), [...sampler.batch(sampler.step)]);
        batches.push(batch);
      },
    }, { dir: `${world.dir}/whole` });
    assertEquals(batches.map((b) => b.epoch), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2]);
    for (const epoch of [0, 1]) {
      const seen = batches.filter((b) => b.epoch === epoch).flatMap(indicesOf);
      assertEquals(new Set(seen).size, EXAMPLES - EXAMPLES % BATCH);
    }
    assert(Number.isFinite(whole.loss.last));

    const labels: string[] = [], seen = (b: { label: string }) => void labels.push(b.label);
    const part = { dir: `${world.dir}/part`, checkpointEvery: 3 };
    await assertRejects(() => run(world, mode, { dies: 8, seen }, part), Error, "died"); // after a checkpoint in mid-epoch 1
    assertEquals(labels.splice(6), batches.slice(6, 8).map((b) => b.label));
    const resumed = await run(world, mode, { seen }, { ...part, resume: true });
    assertEquals(labels, batches.map((b) => b.label));
    assertEquals(resumed.checkpoint!.sha256, whole.checkpoint!.sha256);
    assertEquals(resumed.loss, whole.loss);
  });
}

Deno.test("the queues hold the features that the steps have computed, row by row", async () => {
  await using world = await World.make();
  const config = world.config(0), inputs: PretrainInput[] = [];
  let queues: Queues = {};
  const { params } = await run(world, "grit", {
    dropout: 0,
    seen: ({ input }, extra) => {
      inputs.push(input);
      queues = extra;
    },
  }, { steps: 3, learningRate: () => 0, adamw: { weightDecay: 0 } });
  const features = compile((p: Albef, input: PretrainInput) => [
    encodeImage(p, imagePatches(input.images, config.vision), config).features,
    encodeText(p, input.ids, { mask: input.mask }, config).features,
  ]);
  const [image, text] = await read([queues.image!, queues.text!]);
  for (const [i, input] of inputs.entries()) {
    const rows = (await read(await features(params, input))).map((f) => [...f]);
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
  const { steps } = await run(world, "naive", { epochs: 1 }, { steps: 100 });
  assertEquals(steps, 5);
});

Deno.test("the state of another sampler is refused", async () => {
  await using world = await World.make();
  await using loader = world.loader();
  const task = (miniBatch: number): PretrainingTask =>
    new PretrainingTask({
      config: world.config(0),
      loader,
      textLength: LENGTH,
      sampler: { examples: EXAMPLES, seed: 9, ...SIZES, miniBatch },
    });
  const saved = new Map(Object.entries(task(4).save()));
  task(4).restore(saved);
  assertThrows(() => task(2).restore(saved), RangeError, "miniBatch");
  assertThrows(() => task(4).restore(new Map()), SyntaxError, "the checkpoint has no state of the sampler");
  const broken = saved.get("sampler")!.slice();
  broken[9]! ^= 1;
  assertThrows(() => task(4).restore(new Map([["sampler", broken]])), SyntaxError, "is damaged");
});
