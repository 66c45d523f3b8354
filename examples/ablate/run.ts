/** One run of an ablation: from the common start through the budget to the figures. */
import {
  cosineBySteps,
  evaluateGroups,
  grouped,
  Loader,
  type Metrics,
  type PairRecipe,
  pairRecipes,
  RetrievalEvaluator,
  specEntries,
  train,
  usageOfVision,
} from "../../mod.ts";
import type { AblationResult } from "./result.ts";
import { type Method, methods, type RunKey } from "./rows.ts";
import { type AnyObjective, countingFalseNegatives } from "./truth.ts";
import { GROUP, type World } from "./world.ts";

/** Parameters by their official names. */
export type Start = ReadonlyMap<string, Float32Array>;

/** What a run has measured; who ran it where is added by the caller. */
export type Measured =
  & Omit<AblationResult, "command" | "commit" | "adapter" | "secondsPerEpoch">
  & Required<Pick<AblationResult, "secondsPerEpoch">>;

// deno-lint-ignore no-explicit-any
type AnyRecipe = PairRecipe<any, any, any, any>;
// deno-lint-ignore no-explicit-any
type Parameters = any;

/** Loader's threads, and reports of each epoch. */
const WORKERS = 4, REPORTS = 4;

/** The objective of a method in a world. */
export function objectiveOf(
  { config, budget, textLength, view, tokenizer, training }: World,
  method: Method,
): AnyObjective {
  const recipe = pairRecipes[method.recipe] as AnyRecipe;
  const stepsPerEpoch = Math.floor(training.length / budget.batch);
  const setup = { config, batch: budget.batch, textLength, view, tokenizer, stepsPerEpoch, seed: 0 };
  return recipe.objective(setup, method.values);
}

/** The mini-batches, in the method's order, the rates of a world's budget, and how often the loop reports. */
export function taskOf(world: World, method: Method, objective: AnyObjective, seed: number) {
  const { training, budget: { batch, subQueue, queue, epochs, lr }, config } = world;
  const perEpoch = Math.floor(training.length / batch), steps = perEpoch * epochs;
  const loader = new Loader(training, objective.collate, { seed, workers: WORKERS, cacheBytes: 2 ** 29 });
  const sampler = { examples: training.length, miniBatch: batch, subQueue, queue, mode: method.grit, seed };
  const task = grouped(objective, { loader, embedding: config.embedding, sampler });
  const schedule = { rate: lr, minRate: lr / 100, warmup: Math.ceil(steps / 20), total: steps };
  const logEvery = Math.max(1, Math.floor(perEpoch / REPORTS));
  const options = { steps, seed, logEvery, learningRate: (step: number) => cosineBySteps(step, schedule) };
  return { loader, task, options, perEpoch };
}

/** Seconds of an epoch of a method: of the second and the third. */
export async function secondsOf(
  world: World,
  key: RunKey,
  seed: number,
  start: Start,
  progress: (line: string) => void,
): Promise<number> {
  const short = { ...world, budget: { ...world.budget, epochs: 3 } }, objective = objectiveOf(short, methods[key]);
  return (await trained(short, methods[key], objective, seed, start, progress)).secondsPerEpoch;
}

/** Trains a method from the common start and measures it. */
export async function run(
  world: World,
  key: RunKey,
  seed: number,
  start: Start,
  progress: (line: string) => void,
): Promise<Measured> {
  const method: Method = methods[key], plain = objectiveOf(world, method);
  const objective = world.truth ? countingFalseNegatives(plain, world.truth) : plain;
  const { params, curve, steps, secondsPerEpoch } = await trained(world, method, objective, seed, start, progress);
  return {
    run: key,
    seed,
    world: world.name,
    steps,
    batch: world.budget.batch,
    examples: world.training.length,
    secondsPerEpoch,
    curve: curve.map(point),
    ...await figures(world, objective, params),
  };
}

async function trained(
  world: World,
  method: Method,
  objective: AnyObjective,
  seed: number,
  start: Start,
  progress: (line: string) => void,
) {
  const { loader, task, options, perEpoch } = taskOf(world, method, objective, seed);
  const curve: Metrics[] = [], times: number[] = [];
  const { params } = await train(task, {
    ...options,
    initial: startFor(objective, start),
    progress,
    onMetrics: (metrics) => void (curve.push(metrics), times.push(performance.now())),
  });
  await loader[Symbol.asyncDispose]();
  return { params, curve, steps: options.steps, secondsPerEpoch: epochSeconds(curve, times, perEpoch) };
}

/** The start's parameters that the objective has; its others keep their own starting values. */
function startFor({ spec }: AnyObjective, start: Start): Start {
  const names = new Set(specEntries(spec).map(([name]) => name));
  return new Map([...start].filter(([name]) => names.has(name)));
}

/** From the end of the first epoch, when everything is compiled, to the end of the last. */
function epochSeconds(curve: readonly Metrics[], times: readonly number[], perEpoch: number): number {
  const first = curve.findIndex(({ step }) => step >= perEpoch), last = curve.length - 1;
  const from = first < last ? first : 0; // a single epoch: what there is
  const steps = curve[last]!.step - curve[from]!.step;
  return steps ? (times[last]! - times[from]!) / 1e3 / steps * perEpoch : NaN;
}

function point(metrics: Metrics): AblationResult["curve"][number] {
  const { step, epoch, loss } = metrics, terms: Record<string, number> = {};
  for (const name of ["itc", "itm", "mlm", "falseNegatives", "falsePositives"]) {
    if (metrics[name] !== undefined) terms[name] = metrics[name];
  }
  return { step, epoch, loss: loss!, ...terms };
}

async function figures(world: World, { model, spec }: AnyObjective, params: Parameters) {
  const { usual, hard, config, budget, tokenizer } = world;
  const evaluator = new RetrievalEvaluator<Parameters>(model, { k: budget.shortlist, batch: budget.batch });
  const { cosine, reranked, joint } = await evaluator.evaluate(params, usual);
  evaluator.destroy();
  const groups = hard && await evaluateGroups(params, model, hard, { size: GROUP, batch: budget.batch });
  const masked = "itm_head" in spec && model.match;
  return {
    usual: { cosine, ...(reranked && { reranked }), ...(joint && { joint }) },
    ...(groups ? { hard: groups } : {}),
    ...(masked
      ? { vision: await usageOfVision(params, config, usual, { tokens: tokenizer, seed: 1, batch: budget.batch }) }
      : {}),
  };
}
