/**
 * The common start of all runs of a world: a run of all three losses on random mini-batches with random negatives. The paper's models
 * start from DeiT and BERT; from random values the matching head learns nothing from the hardest negatives within budgets like these
 * (examples/results/README.md has the runs), so that no row could show what they do. From here it does. For the row "hard ITM without
 * ITC" the start's features stand for the paper's separate ITC model.
 */
import { openCheckpoint, specEntries, type SpecTree, train } from "../../mod.ts";
import type { Method } from "./rows.ts";
import { objectiveOf, type Start, taskOf } from "./run.ts";
import type { World } from "./world.ts";

/** The seed of the start. */
const SEED = 0;

/** What is done from random values. */
const method: Method = { recipe: "grit", grit: "off", values: { consistency: 0, mask: 0.15, negatives: "random" } };

/** Trains the start in `folder`, once: a whole one is taken from there. */
export async function commonStart(world: World, folder: string, progress: (line: string) => void): Promise<Start> {
  const own = { ...world, budget: { ...world.budget, epochs: world.budget.startEpochs } };
  const objective = objectiveOf(own, method),
    { loader, task, options, perEpoch } = taskOf(own, method, objective, SEED);
  await using _ = loader;
  const run = {
    ...options,
    logEvery: perEpoch,
    checkpointEvery: options.steps,
    out: folder,
    overwrite: true,
    progress,
  };
  const path = await lastCheckpoint(folder, options.steps) ?? (await train(task, run)).checkpoint!.path;
  return await parametersOf(path, objective.spec);
}

/** The checkpoint of the last step, if it is there. */
async function lastCheckpoint(folder: string, steps: number): Promise<string | undefined> {
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
