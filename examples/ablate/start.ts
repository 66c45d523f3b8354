/**
 * The common start of all runs of a world: a run of all three losses on random mini-batches with random negatives. The paper's models
 * start from DeiT and BERT; from random values the matching head learns nothing from the hardest negatives within budgets like these
 * (examples/results/README.md has the runs), so that no row could show what they do. From here it does. For the row "hard ITM without
 * ITC" the start's features stand for the paper's separate ITC model.
 */
import {
  cosineBySteps,
  grouped,
  Loader,
  openCheckpoint,
  pairRecipes,
  specEntries,
  type SpecTree,
  train,
} from "../../mod.ts";
import type { Start } from "./run.ts";
import type { World } from "./world.ts";

/** The seed of the start. */
const SEED = 0;

/** Trains the start in `folder`, once: a whole one is taken from there. */
export async function commonStart(world: World, folder: string, progress: (line: string) => void): Promise<Start> {
  const { config, budget, textLength, view, tokenizer, training } = world, recipe = pairRecipes.grit;
  const perEpoch = Math.floor(training.length / budget.batch), steps = perEpoch * budget.startEpochs;
  const objective = recipe.objective(
    { config, batch: budget.batch, textLength, view, tokenizer, stepsPerEpoch: perEpoch },
    { consistency: 0, mask: 0.15, negatives: "random" },
  );
  await using loader = new Loader(training, objective.collate, { seed: SEED, workers: 4, cacheBytes: 2 ** 29 });
  const sampler = { examples: training.length, miniBatch: budget.batch, mode: "off" as const, seed: SEED };
  const schedule = { rate: budget.lr, minRate: budget.lr / 100, warmup: Math.ceil(steps / 20), total: steps };
  const whole = await newestCheckpoint(folder, steps);
  const path = whole ?? (await train(grouped(objective, { loader, embedding: config.embedding, sampler }), {
    steps,
    seed: SEED,
    learningRate: (step) => cosineBySteps(step, schedule),
    logEvery: perEpoch,
    checkpointEvery: steps,
    out: folder,
    overwrite: true,
    progress,
  })).checkpoint!.path;
  return await parametersOf(path, objective.spec);
}

/** The checkpoint of the last step, if it is there. */
async function newestCheckpoint(folder: string, steps: number): Promise<string | undefined> {
  const name = `${folder}/step-${String(steps).padStart(8, "0")}`;
  const there = (path: string): Promise<boolean> => Deno.stat(path).then(() => true, () => false);
  return await there(`${name}.json`) && await there(`${name}.safetensors`) ? `${name}.safetensors` : undefined;
}

async function parametersOf(path: string, spec: SpecTree): Promise<Start> {
  const archive = await openCheckpoint(path), start = new Map<string, Float32Array>();
  for (const [name] of specEntries(spec)) start.set(name, (await archive.read(name)).data as Float32Array);
  archive.close();
  return start;
}
