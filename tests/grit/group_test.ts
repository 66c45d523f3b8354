import { assertEquals } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import { defaultDevice, Device, setDefaultDevice } from "../../src/gpu/device.ts";
import { gpuGrouping, subQueuesTogether } from "../../src/grit/group.ts";
import type { Grouping } from "../../src/grit/sampler.ts";
import { groupOnCpu } from "../../src/grit/walk.ts";
import { tensor, toDevice } from "../../src/program/compile.ts";
import { type Pairs, randomPairs } from "./features.ts";

/** A grouping of `count` of the queue's rows in sub-queues of `m`. */
function grouping(count: number, m: number, seed: number): Grouping {
  const random = new Random(seed), sizes = [];
  for (let left = count; left > 0; left -= m) sizes.push(Math.min(m, left));
  return {
    permutation: random.permutation(count),
    subQueues: Uint32Array.from(sizes),
    starts: Uint32Array.from(sizes, (size) => random.below(size)),
  };
}

const onGpu = async ({ image, text }: Pairs, rows: number) =>
  await toDevice([image, text].map(({ data, width }) => tensor(Float32Array.from(data), [rows, width])));

for (const [count, m, queue] of [[48, 16, 48], [40, 16, 48], [7, 16, 48], [33, 32, 64], [1, 8, 16], [130, 26, 130]]) {
  Deno.test(`gpuGrouping() walks as groupOnCpu() does: ${count} of ${queue} rows in sub-queues of ${m}`, async () => {
    for (const clusters of [3, 500]) {
      const pairs = randomPairs(queue!, 24, clusters, 7), group = gpuGrouping(), plan = grouping(count!, m!, clusters);
      const [image, text] = await onGpu(pairs, queue!);
      const found = await group(image!, text!, plan);
      assertEquals(found.map((c) => [...Array.from(c)]), groupOnCpu(pairs.image, pairs.text, plan).map((c) => [...c]));
      group.destroy();
    }
  });
}

Deno.test("gpuGrouping() takes the sub-queues in several turns where their similarities do not fit", async () => {
  const whole = await defaultDevice();
  const small = new Device(whole.gpu, whole.adapter, { ...whole.profile, maxBindingBytes: 4 * 16 * 16 * 3 });
  assertEquals(subQueuesTogether(small.profile, 8, 16), 3);
  assertEquals(subQueuesTogether(small.profile, 2, 16), 2);
  assertEquals(subQueuesTogether(small.profile, 2, 4096), 1);
  setDefaultDevice(small);
  try {
    const pairs = randomPairs(128, 8, 9, 1), plan = grouping(115, 16, 2), group = gpuGrouping();
    const [image, text] = await onGpu(pairs, 128);
    const found = await group(image!, text!, plan);
    assertEquals(found.map((c) => [...Array.from(c)]), groupOnCpu(pairs.image, pairs.text, plan).map((c) => [...c]));
    group.destroy();
  } finally {
    setDefaultDevice(whole);
  }
});

Deno.test("gpuGrouping() gives permutations for features that are not finite", async () => {
  const pairs = randomPairs(32, 8, 9, 1), plan = grouping(32, 16, 2), group = gpuGrouping();
  pairs.image.data.fill(NaN, 8, 80), pairs.text.data.fill(Infinity, 60, 70);
  const [image, text] = await onGpu(pairs, 32);
  for (const chain of await group(image!, text!, plan)) {
    assertEquals(Array.from(chain).sort((a, b) => a - b), Array.from({ length: 16 }, (_, i) => i));
  }
  group.destroy();
});
