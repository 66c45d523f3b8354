/** A whole training step of a recipe on random inputs, made from the shapes that its objective states. */
import { defaultDevice } from "../../src/gpu/device.ts";
import { type AlbefConfig, configs } from "../../src/models/config.ts";
import type { SpecTree } from "../../src/nn/spec.ts";
import { ParameterLayout } from "../../src/optim/layout.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Aval, Tensor } from "../../src/program/graph.ts";
import { type KernelTime, placeholders, type Program } from "../../src/program/program.ts";
import { mapTree, type Tree } from "../../src/program/tree.ts";
import { pairRecipes } from "../../src/recipes/mod.ts";
import type { RecipeSetup } from "../../src/recipes/recipe.ts";
import type { Field, Fields } from "../../src/settings/field.ts";
import { startingExtra, startingState, startingValues } from "../../src/train/start.ts";
import {
  buildStep,
  type GradientInput,
  metricNames,
  type Step,
  type TrainState,
  type UpdateInput,
} from "../../src/train/step.ts";
import type { Objective, Task } from "../../src/train/task.ts";
import { uniform } from "./measure.ts";
import type { Ready } from "./works.ts";

/** A recipe's name, as `--recipe` takes it. */
export type RecipeName = keyof typeof pairRecipes;

/** What is trained, whatever its parameters are. */
export type AnyObjective = Objective<SpecTree, Tree, Tree>;

/** Token positions of a text. */
export const TEXT_LENGTH = 16;

/** The objective of a recipe with its default settings. */
export function objectiveOf(
  config: AlbefConfig,
  batch: number,
  recipe: RecipeName = "grit",
  more: Partial<RecipeSetup> = {},
): AnyObjective {
  const { fields, objective } = pairRecipes[recipe] as { fields: Fields; objective: (...args: unknown[]) => unknown };
  const defaults = Object.fromEntries(
    Object.entries(fields).map(([name, field]: [string, Field<unknown>]) => [name, field.default]),
  );
  const view = { resolution: config.vision.resolution, transform: "train" };
  return objective({ config, batch, textLength: TEXT_LENGTH, view, ...more }, defaults) as AnyObjective;
}

/** A task without data: the same mini-batch again and again. */
export function syntheticTask(config: AlbefConfig, batch: number, steps = Infinity): Task<SpecTree, Tree, Tree> {
  const objective = objectiveOf(config, batch), input = randomInput(objective, config);
  let left = steps;
  return {
    ...objective,
    data: {
      next: () => Promise.resolve(left-- > 0 ? { input, examples: batch, label: "random", epoch: 0 } : undefined),
    },
  };
}

/** Random bytes as images, random ids as texts, every second token masked. */
function randomInput({ input }: AnyObjective, { text }: AlbefConfig): Tree {
  const words = text.vocabulary - 5;
  const id = (u: number, i: number): number => i % TEXT_LENGTH ? 5 + Math.floor((u + 1) / 2.001 * words) : 2;
  const values: Record<string, (u: number, i: number) => number> = {
    images: () => Math.random() * 2 ** 32,
    ids: id,
    mask: () => 1,
    mlmIds: (u, i) => i % 2 ? 4 : id(u, i),
    mlmLabels: (u, i) => i % 2 ? id(u, i) : -100,
    imageIds: (_, i) => i,
  };
  return mapTree(placeholders<Tree>(input), (t, name) => filled(t, values[name]!));
}

/** A tensor of drawn values: `value` of a number in [-1, 1) and the place. */
export function filled({ shape, dtype }: Aval, value: (u: number, i: number) => number): Tensor {
  const size = shape.reduce((a, b) => a * b, 1), drawn = uniform(size);
  const array = new ({ f32: Float32Array, i32: Int32Array, u32: Uint32Array, f16: Uint16Array }[dtype])(size);
  for (let i = 0; i < size; i++) array[i] = value(drawn[i]!, i);
  return tensor(array, shape);
}

/** A step with its state. */
export class BenchStep {
  readonly #gradients: GradientInput = {
    key: tensor(Uint32Array.of(1, 2)),
    step: tensor(0),
    epoch: tensor(0),
    keep: tensor(0),
    row: tensor(Uint32Array.of(0)),
  };
  readonly #update: UpdateInput = {
    adamw: { rate: tensor(1e-4), correction1: tensor(1), correction2: tensor(1) },
    row: tensor(Uint32Array.of(0)),
  };

  private constructor(readonly step: Step<Tree, Tree>, readonly batch: Tree, private state: TrainState<Tree>) {}

  static create(config: AlbefConfig, batch: number, recipe: RecipeName = "grit"): Promise<BenchStep> {
    const objective = objectiveOf(config, batch, recipe);
    return BenchStep.of(objective, randomInput(objective, config));
  }

  /** A step of any objective on this mini-batch. */
  static async of(objective: AnyObjective, batch: Tree): Promise<BenchStep> {
    const layout = new ParameterLayout(objective.spec, objective);
    const values = startingValues(objective.spec, 1), extra = startingExtra(objective, values);
    const rings = { rows: 1, columns: 1 + metricNames(objective, layout, extra).length, steps: 1 };
    const state = await startingState(layout, values, extra, rings, undefined);
    return new BenchStep(buildStep(objective, layout), batch, state);
  }

  /** The programs of the gradients and of the update. */
  async programs(): Promise<[Program, Program]> {
    const { gradients, update } = this.step;
    return [
      await gradients.program(this.state, this.batch, this.#gradients),
      await update.program(this.state, this.#update),
    ];
  }

  /** Gives the step to the GPU. */
  async run(): Promise<void> {
    this.state = await this.step.gradients(this.state, this.batch, this.#gradients);
    this.state = await this.step.update(this.state, this.#update);
  }

  /** A step with the times of its kernels, those of the update after those of the gradients. */
  async profile(): Promise<KernelTime[]> {
    const first = await this.step.gradients.profile(this.state, this.batch, this.#gradients);
    const second = await this.step.update.profile(first.result, this.#update);
    this.state = second.result;
    const end = Math.max(...first.times.map(({ start, nanoseconds }) => start + nanoseconds));
    return [...first.times, ...second.times.map((t) => ({ ...t, start: t.start + end }))];
  }

  /** Waits for the step and returns its loss. */
  async loss(): Promise<number> {
    return (await toHost(this.state.metrics))[0]!;
  }

  destroy(): void {
    this.step.gradients.destroy();
    this.step.update.destroy();
  }
}

/** The step of a named size; floating-point operations are those of its kernels. */
export async function stepWork(name: keyof typeof configs, batch: number, recipe?: RecipeName): Promise<Ready> {
  return await readyStep(await BenchStep.create(configs[name], batch, recipe));
}

/** A step that is ready to run. */
export async function readyStep(step: BenchStep): Promise<Ready> {
  const programs = await step.programs(), { gpu } = await defaultDevice();
  const run = async (): Promise<void> => {
    await step.run();
    await gpu.queue.onSubmittedWorkDone();
  };
  return { flop: stepFlop(programs), run, intermediates: stepBytes(programs) };
}

/** Floating-point operations of programs together. */
export function stepFlop(programs: readonly Program[]): number {
  return programs.flatMap((p) => p.plan.steps).reduce((n, d) => n + (d.flop ?? 0), 0);
}

/** Bytes of intermediates of programs together. */
export function stepBytes(programs: readonly Program[]): number {
  return programs.reduce((n, p) => n + p.arenaBytes, 0);
}

/** Times of the kernels of a step that is not the first. */
export async function profileStep(
  name: keyof typeof configs,
  batch: number,
  recipe?: RecipeName,
): Promise<KernelTime[]> {
  const step = await BenchStep.create(configs[name], batch, recipe);
  for (let i = 0; i < 2; i++) await step.run();
  return await step.profile();
}
