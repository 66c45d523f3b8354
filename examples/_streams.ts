/** What pretrain.ts does for recipes of one stream: regions in the place of pixels, and losses of held-out pairs. */
import {
  type CaptionDataset,
  compile,
  type Dataset,
  type Example,
  Loader,
  openRegions,
  randomKey,
  type RecipeObjective,
  type RecipeSetup,
  type RegionSource,
  SCENE_REGION_CLASSES,
  sceneFiles,
  settings,
  type Tensor,
  tensor,
  toHost,
  withRegions,
  writeSceneRegions,
} from "../mod.ts";
import type { Common } from "./pretrain_settings.ts";

// deno-lint-ignore no-explicit-any
type StreamObjective = RecipeObjective<any, any, any, any>;

/** Captions with the regions of their images, and the sizes that a recipe is told; disposal gives the files back. */
export interface RegionData {
  readonly training: Dataset<Example>;
  readonly heldOut: Dataset<Example> | undefined;
  readonly sizes: NonNullable<RecipeSetup["regions"]>;
  [Symbol.dispose](): void;
}

/** Opens the regions of the images; those of the demo's scenes are made. */
export async function openRegionData(
  options: Common,
  { training, heldOut }: { readonly training: CaptionDataset; readonly heldOut: CaptionDataset | undefined },
): Promise<RegionData> {
  const { demo, out, regions, valRegions, regionNames, mostRegions: most, seed } = options;
  if (!regions) throw new settings.UsageError("--regions is missing: --recipe regions looks at regions, not at pixels");
  if (heldOut && !valRegions) {
    throw new settings.UsageError("--val-regions is missing: --val-data needs the regions of its images");
  }
  if (demo) {
    for (const split of ["train", "test"] as const) {
      await writeSceneRegions(sceneFiles(`${out}/scenes`, split), { seed });
    }
  }
  const names = demo ? SCENE_REGION_CLASSES : regionNames ? await linesOf(regionNames) : undefined;
  const sources: RegionSource[] = [];
  const open = async (path: string, dataset: CaptionDataset): Promise<Dataset<Example>> => {
    sources.push(await openRegions(path, names?.length));
    return withRegions(dataset, sources.at(-1)!);
  };
  const own = { training: await open(regions, training), heldOut: heldOut && await open(valRegions!, heldOut) };
  const [{ width, classes }] = sources as [RegionSource];
  return {
    ...own,
    sizes: { most, width, classes, ...(names ? { names } : {}) },
    [Symbol.dispose]: () => sources.forEach((s) => s.close()),
  };
}

async function linesOf(path: string): Promise<string[]> {
  return (await Deno.readTextFile(path)).trimEnd().split(/\r?\n/);
}

/** The metrics of held-out mini-batches in the mean, with the same draws each time. The objective keeps nothing from step to step. */
export function heldOutMetrics(objective: StreamObjective, dataset: Dataset<Example>, batch: number) {
  const count = Math.floor(dataset.length / batch);
  if (!count) {
    throw new settings.UsageError(
      `--val-data must have at least a mini-batch of ${batch} examples (--val-batch): it has ${dataset.length}`,
    );
  }
  const run = compile((params: never, input: never, words: Tensor) =>
    objective.loss(params, {}, input, { key: randomKey(words), step: tensor(0), epoch: tensor(0) }).metrics ?? {}
  );
  const order = (k: number): Int32Array | undefined =>
    k < count ? Int32Array.from({ length: batch }, (_, i) => k * batch + i) : undefined;
  let last: Record<string, number> | null = null;
  return {
    last: () => last,
    evaluate: async (params: unknown): Promise<Record<string, number>> => {
      const sums: Record<string, number> = {};
      await using loader = new Loader(dataset, objective.collate, { seed: 1 });
      for await (const { input, number } of loader.batches(order, { epoch: 0 })) {
        const metrics = await run(params as never, input as never, tensor(Uint32Array.of(1, number)));
        const values = await toHost(Object.values(metrics));
        Object.keys(metrics).forEach((name, i) => sums[name] = (sums[name] ?? 0) + values[i]![0]! / count);
      }
      return last = Object.fromEntries(Object.entries(sums).map(([name, sum]) => [`heldOut/${name}`, sum]));
    },
  };
}
