/** The memory of a pre-training run, and the largest batch that fits. */
import { formatBytes } from "../../src/gpu/errors.ts";
import { configs } from "../../src/models/config.ts";
import { estimatePretraining } from "../../src/tasks/pretraining_memory.ts";
import { describeMemory, largestBatch } from "../../src/train/estimate.ts";
import { TEXT_LENGTH } from "./step.ts";

export async function memoryReport(name: keyof typeof configs, batch: number, gibibytes: number): Promise<void> {
  for (const remat of [false, true]) {
    const estimate = (batch: number) =>
      estimatePretraining(configs[name], { batch, textLength: TEXT_LENGTH, loss: { remat } });
    console.log(`${name}, batch ${batch}${remat ? ", activations computed again" : ""}:`);
    console.log(describeMemory(await estimate(batch)));
    const limit = gibibytes * 2 ** 30,
      most = await largestBatch(limit, async (batch) => (await estimate(batch)).total, {
        least: 2, // image-text matching needs a negative
      });
    console.log(`largest batch in ${formatBytes(limit)}: ${most}\n`);
  }
}
