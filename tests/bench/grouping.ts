/**
 * GRIT's grouping of a full queue, and what all of GRIT's sampling adds to an epoch.
 *
 * Features are multiples of 1/8 in [-1, 1], so similarities are exact in f32 and differ by 1/64 at least, or are equal and the
 * lowest position wins: the float64 reference is to be matched to the last position.
 */
import { defaultDevice } from "../../src/gpu/device.ts";
import { gpuGrouping } from "../../src/grit/group.ts";
import { checkPermutation } from "../../src/grit/order.ts";
import { GritSampler, type Grouping } from "../../src/grit/sampler.ts";
import { type Features, groupOnCpu } from "../../src/grit/walk.ts";
import { configs } from "../../src/models/config.ts";
import { ringUpdate } from "../../src/ops/ring_update.ts";
import { compile, tensor, toDevice } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { estimateStep } from "../../src/train/estimate.ts";
import { type Line, line, median, round } from "./measure.ts";
import { BenchStep, objectiveOf } from "./step.ts";

/** Timed rounds at most, each a grouping and a step. */
const ROUNDS = 3;
/** No round begins later than these milliseconds after the first: a slow machine takes fewer. */
const LONGEST = 45_000;
/** Mini-batch of the steps that are timed; longer ones are taken to last in proportion. */
const STEP_BATCH = 32;
/** Sub-queues that the reference walks over. */
const WALKED = 3;

/** The line of `bench.ts grouping L M N d`. */
export async function groupingLine(queue: number, subQueue: number, miniBatch: number, width: number): Promise<Line> {
  const device = await defaultDevice(), { gpu } = device;
  const pairs = exactPairs(queue, width), [image, text] = await onGpu(pairs, queue);
  const host = new SamplerClock({ examples: queue, queue, subQueue, miniBatch, seed: 1 });
  const grouping = host.collect(), group = gpuGrouping();

  const empty = device.memory.bytes;
  const chains = await group(image!, text!, grouping); // not counted: compiles and allocates
  const memory = device.memory.peak, peak = memory - empty;
  host.accept(chains);

  const batch = Math.min(miniBatch, STEP_BATCH), step = await BenchStep.create(configs.small, batch);
  const runStep = async (): Promise<void> => {
    await step.run();
    await gpu.queue.onSubmittedWorkDone();
  };
  await runStep(); // not counted
  const times: number[] = [], stepTimes: number[] = [], start = performance.now();
  for (let i = 0; i < ROUNDS && (i === 0 || performance.now() - start < LONGEST); i++) {
    times.push(await timed(() => group(image!, text!, grouping))); // in turn, for others may use the machine
    stepTimes.push(await timed(runStep));
  }
  const ms = median(times), steps = queue / miniBatch;
  const stepMs = median(stepTimes) * miniBatch / batch, collectMs = await collectTime(queue, miniBatch, width);
  const sampling = ms + host.ms + collectMs * steps, baseMs = stepMs * await flopRatio();
  const pairsCompared = queue / subQueue * subQueue * (subQueue - 1) / 2;
  const name = `grouping ${queue} ${subQueue} ${miniBatch} ${width}`;
  return line("gritstone", "webgpu", name, 2 * queue * subQueue * width, { best: Math.min(...times), median: ms }, {
    ms: round(ms),
    peak_bytes: peak,
    checks_per_second: Math.round(pairsCompared / (ms / 1000)),
    exact: isExact(pairs, grouping, chains),
    overhead_percent: round(100 * sampling / (stepMs * steps), 4),
    overhead_percent_base: round(100 * sampling / (baseMs * steps), 5),
    rounds: times.length,
    host_ms: round(host.ms),
    collect_ms: round(collectMs, 3),
    step_ms: round(stepMs),
    step_batch: batch,
    base_step_ms: round(baseMs),
    rule:
      `step_ms: median at step_batch times N / step_batch; base_step_ms: step_ms times the ratio of FLOP, base to small`,
    memory,
    adapter: device.adapter,
  });
}

/** An epoch of one full queue, with the time that the sampler itself takes on the host. */
class SamplerClock {
  readonly #sampler: GritSampler;
  ms = 0;

  constructor(options: ConstructorParameters<typeof GritSampler>[0]) {
    this.#sampler = new GritSampler(options);
  }

  /** Counts all mini-batches and draws the example-level shuffle. */
  collect(): Grouping {
    return this.#clock(() => {
      const sampler = this.#sampler;
      while (!sampler.needsGrouping) sampler.collect(sampler.batch(sampler.step));
      return sampler.grouping();
    });
  }

  /** Takes the chains, and shuffles the chunks. */
  accept(chains: readonly ArrayLike<number>[]): void {
    this.#clock(() => {
      this.#sampler.accept(chains);
      this.#sampler.nextPass();
    });
  }

  #clock<T>(run: () => T): T {
    const start = performance.now(), result = run();
    this.ms += performance.now() - start;
    return result;
  }
}

async function timed(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** Milliseconds in which the features of a mini-batch go to both queues, as a program of its own; in a step they have none. */
async function collectTime(queue: number, miniBatch: number, width: number): Promise<number> {
  const { gpu } = await defaultDevice(), rows = exactPairs(miniBatch, width), updates = 50;
  type Queues = { image: Tensor; text: Tensor };
  const push = compile((queues: Queues, rows: Queues, row: Tensor): Queues => ({
    image: ringUpdate(queues.image, rows.image, row),
    text: ringUpdate(queues.text, rows.text, row),
  }), { donate: [0] });
  const [image, text] = await onGpu(rows, miniBatch), empty = () => new Float32Array(queue * width);
  let queues = await toDevice({ image: tensor(empty(), [queue, width]), text: tensor(empty(), [queue, width]) });
  const run = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) {
      queues = await push(queues, { image: image!, text: text! }, tensor(Uint32Array.of(i * miniBatch % queue)));
    }
    await gpu.queue.onSubmittedWorkDone();
  };
  await run(1);
  return await timed(() => run(updates)) / updates;
}

/** FLOP of a step of `base` for each of `small`, by the kernels of both at a batch that every adapter can plan. */
async function flopRatio(): Promise<number> {
  const flop = async (name: "small" | "base"): Promise<number> =>
    (await estimateStep(objectiveOf(configs[name], 4))).flop;
  return await flop("base") / await flop("small");
}

/** Whether every chain is a permutation and those of some whole sub-queues, the first and last among them, are the reference's. */
function isExact(pairs: Pairs, grouping: Grouping, chains: readonly ArrayLike<number>[]): boolean {
  const { permutation, subQueues, starts } = grouping, count = subQueues.length, size = subQueues[0]!;
  chains.forEach((chain, g) => checkPermutation(chain, subQueues[g]!, `the chain of sub-queue ${g}`));
  const walked = new Set(Array.from({ length: WALKED }, (_, i) => Math.round(i * (count - 1) / (WALKED - 1))));
  return [...walked].every((g) => {
    const [expected] = groupOnCpu(pairs.image, pairs.text, {
      permutation: permutation.subarray(g * size, g * size + subQueues[g]!),
      subQueues: subQueues.subarray(g, g + 1),
      starts: starts.subarray(g, g + 1),
    });
    return expected!.every((place, i) => place === chains[g]![i]);
  });
}

interface Pairs {
  readonly image: Features;
  readonly text: Features;
}

/** Pairs of which image and text agree in about three of four elements. */
function exactPairs(count: number, width: number): Pairs {
  const element = (): number => Math.floor(Math.random() * 17) / 8 - 1;
  const image = Float32Array.from({ length: count * width }, element);
  const text = image.map((x) => Math.random() < 0.75 ? x : element());
  return { image: { data: image, width }, text: { data: text, width } };
}

async function onGpu({ image, text }: Pairs, rows: number): Promise<Tensor[]> {
  return await toDevice([image, text].map(({ data, width }) => tensor(Float32Array.from(data), [rows, width])));
}
