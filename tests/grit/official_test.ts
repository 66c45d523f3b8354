import { groupOnCpu } from "../../src/grit/walk.ts";
import { parseSafetensors } from "../../src/io/safetensors.ts";
import { checkEpoch, checkGroup, checkTies, type EpochConfig, type Tensors } from "../golden/grit.ts";
import { groupOnGpu } from "./gpu_walk.ts";

async function fixture(name: string): Promise<Tensors> {
  const url = new URL(`fixtures/${name}.safetensors`, import.meta.url);
  return parseSafetensors(await Deno.readFile(url), name);
}

const epochs: Record<string, EpochConfig> = {
  epoch_exact: { batch_size: 8, search_space: 32, queue_size: 64 },
  epoch_rest: { batch_size: 8, search_space: 32, queue_size: 96 },
  epoch_short: { batch_size: 4, search_space: 16, queue_size: 96 },
};

for (const [where, group] of [["CPU reference", groupOnCpu], ["kernel", groupOnGpu]] as const) {
  Deno.test(`the ${where} groups sub-queues in the official order`, async () => {
    for (const name of ["group_M33_odd", "group_M64"]) await checkGroup(await fixture(name), group);
  });

  Deno.test(`the ${where} takes the lowest position of identical features`, async () => {
    await checkTies(await fixture("grouping_ties"), { dup_pairs: 5, dup_triple: 1 }, group);
  });

  Deno.test(`the sampler with the ${where} makes the official order of the next epoch`, async () => {
    for (const [name, config] of Object.entries(epochs)) await checkEpoch(await fixture(name), config, group);
  });
}
