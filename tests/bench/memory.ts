/** The memory of a training run, and the largest batch that fits. */
import { formatBytes } from "../../src/gpu/errors.ts";
import { configs } from "../../src/models/config.ts";
import { describeMemory, estimateMemory, largestBatch } from "../../src/train/estimate.ts";
import { objectiveOf, type RecipeName } from "./step.ts";

export async function memoryReport(
  name: keyof typeof configs,
  batch: number,
  gibibytes: number,
  recipe?: RecipeName,
): Promise<void> {
  for (const remat of [false, true]) {
    const estimate = (batch: number) => estimateMemory(objectiveOf(configs[name], batch, recipe, { remat }));
    console.log(`${name}, batch ${batch}${remat ? ", activations computed again" : ""}:`);
    console.log(describeMemory(await estimate(batch)));
    const limit = gibibytes * 2 ** 30;
    const most = await largestBatch(limit, async (batch) => (await estimate(batch)).total, {
      least: 2, // image-text matching needs a negative
    });
    console.log(`largest batch in ${formatBytes(limit)}: ${most}\n`);
  }
}
