/** A whole pre-training step on random inputs. */
import { defaultDevice } from "../../src/gpu/device.ts";
import { type AlbefSpec, albefSpec } from "../../src/models/albef.ts";
import { type AlbefConfig, configs } from "../../src/models/config.ts";
import { initialValues, specEntries } from "../../src/nn/spec.ts";
import { ParameterLayout } from "../../src/optim/layout.ts";
import { tensor, toDevice, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { KernelTime, Program } from "../../src/program/program.ts";
import {
  collectingLoss,
  PRETRAINING_LAYOUT,
  PRETRAINING_METRICS,
  type PretrainInput,
} from "../../src/tasks/pretraining.ts";
import { pretrainingInput } from "../../src/tasks/pretraining_memory.ts";
import { buildStep, COMMON_COLUMNS, type Step, type StepInput, type TrainState } from "../../src/train/step.ts";
import type { Task } from "../../src/train/task.ts";
import { uniform } from "./measure.ts";
import type { Ready } from "./works.ts";

/** Nothing is collected for grouping. */
export type NoQueues = Record<string, never>;

/** Token positions of a text. */
export const TEXT_LENGTH = 16;

/** Pre-training without data: the same mini-batch again and again. */
export function syntheticTask(
  config: AlbefConfig,
  batch: number,
  steps = Infinity,
): Task<AlbefSpec, NoQueues, PretrainInput> {
  const spec = albefSpec(config), specs = specEntries(spec), input = randomInput(config, batch);
  let left = steps;
  return {
    spec,
    settings: {},
    extra: {},
    initial: (name) => {
      const stream = specs.findIndex(([n]) => n === name);
      return initialValues(specs[stream]![1], 1, stream);
    },
    loss: (params, _, input, key) => ({ ...collectingLoss(params, {}, input, key, { config }), extra: {} }),
    next: () => Promise.resolve(left-- > 0 ? { input, examples: batch, label: "random", epoch: 0 } : undefined),
  };
}

/** Random bytes as images, random ids as texts, every second token masked. */
function randomInput(config: AlbefConfig, batch: number): PretrainInput {
  const input = pretrainingInput(config, batch, TEXT_LENGTH), words = config.text.vocabulary - 5;
  const like = (t: Tensor, value: (i: number) => number): Tensor => {
    const make = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, f16: Uint16Array }[t.dtype];
    const array = new make(t.size);
    for (let i = 0; i < array.length; i++) array[i] = value(i);
    return tensor(array, t.shape);
  };
  const drawn = uniform(input.ids.size).map((u) => 5 + Math.floor((u + 1) / 2.001 * words));
  const id = (i: number): number => i % TEXT_LENGTH ? drawn[i]! : 2;
  return {
    images: like(input.images, () => Math.random() * 2 ** 32),
    ids: like(input.ids, id),
    mask: like(input.mask, () => 1),
    mlmIds: like(input.mlmIds, (i) => i % 2 ? 4 : id(i)),
    mlmLabels: like(input.mlmLabels, (i) => i % 2 ? id(i) : -100),
    imageIds: like(input.imageIds, (i) => i),
    row: like(input.row, () => 0),
  };
}

/** A step with its state. */
export class BenchStep {
  readonly #step: Step<NoQueues, PretrainInput>;
  readonly #batch: PretrainInput;
  readonly #input: StepInput = {
    adamw: { rate: tensor(1e-4), correction1: tensor(1), correction2: tensor(1) },
    key: tensor(Uint32Array.of(1, 2)),
    row: tensor(Uint32Array.of(0)),
  };

  private constructor(step: Step<NoQueues, PretrainInput>, batch: PretrainInput, private state: TrainState<NoQueues>) {
    this.#step = step;
    this.#batch = batch;
  }

  static async create(config: AlbefConfig, batch: number): Promise<BenchStep> {
    const task = syntheticTask(config, batch), layout = new ParameterLayout(task.spec, PRETRAINING_LAYOUT);
    const zeros = (): Tensor[] => layout.flats.map((f) => tensor(new Float32Array(f.size)));
    const columns = COMMON_COLUMNS.length + PRETRAINING_METRICS.length;
    const state: TrainState<NoQueues> = await toDevice({
      optimizer: {
        values: layout.packHost((n, s) => task.initial!(n, s)).map((v) => tensor(v)),
        first: zeros(),
        second: zeros(),
      },
      extra: {},
      healthy: tensor(1),
      ring: tensor(new Float32Array(columns), [1, columns]),
      sums: [],
    });
    return new BenchStep(buildStep(task, layout, PRETRAINING_METRICS), randomInput(config, batch), state);
  }

  program(): Promise<Program> {
    return this.#step.forward.program(this.state, this.#batch, this.#input);
  }

  /** Gives the step to the GPU. */
  async run(): Promise<void> {
    this.state = await this.#step.forward(this.state, this.#batch, this.#input);
  }

  async profile(): Promise<KernelTime[]> {
    const { result, times } = await this.#step.forward.profile(this.state, this.#batch, this.#input);
    this.state = result;
    return times;
  }

  /** Waits for the step and returns its loss. */
  async loss(): Promise<number> {
    return (await toHost(this.state.ring))[0]!;
  }

  destroy(): void {
    this.#step.forward.destroy();
  }
}

/** The step of a named size; floating-point operations are those of its kernels. */
export async function stepWork(name: keyof typeof configs, batch: number): Promise<Ready> {
  const step = await BenchStep.create(configs[name], batch), program = await step.program();
  const { gpu } = await defaultDevice();
  const run = async (): Promise<void> => {
    await step.run();
    await gpu.queue.onSubmittedWorkDone();
  };
  return { flop: stepFlop(program), run, intermediates: program.arenaBytes };
}

export function stepFlop(program: Program): number {
  return program.plan.steps.reduce((n, d) => n + (d.flop ?? 0), 0);
}

/** Times of the kernels of a step that is not the first. */
export async function profileStep(name: keyof typeof configs, batch: number): Promise<KernelTime[]> {
  const step = await BenchStep.create(configs[name], batch);
  for (let i = 0; i < 2; i++) await step.run();
  return await step.profile();
}
