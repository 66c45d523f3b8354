import { assert, assertEquals } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import { defaultDevice, Device, setDefaultDevice } from "../../src/gpu/device.ts";
import { gpuGrouping, groupingBytes, subQueuesTogether } from "../../src/grit/group.ts";
import { checkPermutation } from "../../src/grit/order.ts";
import type { Grouping } from "../../src/grit/sampler.ts";
import { groupOnCpu } from "../../src/grit/walk.ts";
import { tensor, toDevice } from "../../src/program/compile.ts";
import { countWaits } from "../testing/count_waits.ts";
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

/** Chains of a search as lists. */
const lists = (chains: readonly ArrayLike<number>[]): number[][] => chains.map((chain) => Array.from(chain));

/** Runs with bindings of `bytes` at most. */
async function withBindings(bytes: number, run: (device: Device) => Promise<void>): Promise<void> {
  const whole = await defaultDevice();
  const small = new Device(whole.gpu, whole.adapter, { ...whole.profile, maxBindingBytes: bytes });
  setDefaultDevice(small);
  try {
    await run(small);
  } finally {
    setDefaultDevice(whole);
  }
}

Deno.test("gpuGrouping() takes the sub-queues in several turns where their similarities do not fit", async () => {
  await withBindings(4 * 16 * 16 * 3, async ({ profile }) => {
    assertEquals(subQueuesTogether(profile, 8, 16), 3);
    assertEquals(subQueuesTogether(profile, 2, 16), 2);
    assertEquals(subQueuesTogether(profile, 2, 4096), 1);
    const pairs = randomPairs(128, 8, 9, 1), group = gpuGrouping(), [image, text] = await onGpu(pairs, 128);
    for (const count of [5, 115, 128, 17, 7]) { // one search for queues of all lengths
      const plan = grouping(count, 16, count);
      let found: readonly ArrayLike<number>[] = [];
      const waits = await countWaits(async () => found = await group(image!, text!, plan));
      assertEquals(waits, 1, "one wait for the chains of all turns");
      assertEquals(lists(found), lists(groupOnCpu(pairs.image, pairs.text, plan)));
    }
    group.destroy();
  });
});

Deno.test("sub-queues of the paper's sizes are walked in even turns of at most 64 MiB of similarities", async () => {
  const profile = { ...(await defaultDevice()).profile, maxBindingBytes: 2 ** 31 };
  assertEquals(subQueuesTogether(profile, 50, 960), 17); // 17, 17, 16
  assertEquals(subQueuesTogether(profile, 25, 1920), 4);
  assertEquals(subQueuesTogether(profile, 5, 8192), 1); // 256 MiB alone
});

/** Multiples of 1/8 in [-1, 1]: sums of products are exact in f32 and so either equal or 1/64 apart. */
function exactPairs(count: number, width: number, seed: number): Pairs {
  const random = new Random(seed);
  const rows = () => ({ data: Float32Array.from({ length: count * width }, () => random.below(17) / 8 - 1), width });
  return { image: rows(), text: rows() };
}

Deno.test("gpuGrouping() is exact where similarities are equal or apart, at odd sizes, in turns, at any temperature", async () => {
  for (const [count, m, width] of [[211, 35, 33], [134, 67, 7], [99, 33, 1]] as const) {
    const pairs = exactPairs(count, width, m), plan = grouping(count, m, count);
    const expected = lists(groupOnCpu(pairs.image, pairs.text, plan));
    await withBindings(4 * m * m * 2, async () => {
      for (const temperature of [2 ** -20, 2 ** -10, 1, 2 ** 10]) {
        const image = { ...pairs.image, data: pairs.image.data.map((x) => x / temperature) };
        const group = gpuGrouping(), [u, v] = await onGpu({ ...pairs, image }, count);
        assertEquals(lists(await group(u!, v!, plan)), expected, `${count} in ${m}, temperature ${temperature}`);
        group.destroy();
      }
    });
  }
});

Deno.test("gpuGrouping() gives permutations for features that are not finite, too large or too small", async () => {
  const fills: ((pairs: Pairs) => void)[] = [
    ({ image, text }) => (image.data.fill(NaN, 8, 80), text.data.fill(Infinity, 60, 70)),
    ({ image }) => image.data.fill(NaN),
    ({ image, text }) => (image.data.fill(-Infinity), text.data.fill(0, 100)),
    ({ image, text }) => [image, text].forEach(({ data }) => data.set(data.map((x) => x * 1e30))),
    ({ image, text }) => [image, text].forEach(({ data }) => data.set(data.map((x) => x * 1e-30))),
  ];
  for (const [i, fill] of fills.entries()) {
    const pairs = randomPairs(45, 8, 9, 1), plan = grouping(45, 16, 2), group = gpuGrouping();
    fill(pairs);
    const [image, text] = await onGpu(pairs, 45);
    (await group(image!, text!, plan)).forEach((chain, g) => {
      checkPermutation(chain, plan.subQueues[g]!, `chain ${g} of case ${i}`);
      assertEquals(chain[0], plan.starts[g]);
    });
    group.destroy();
  }
});

Deno.test("groupingBytes() is the memory that gpuGrouping() takes", async () => {
  const count = 300, m = 50, width = 16;
  await withBindings(4 * m * m * 2, async (device) => {
    const [image, text] = await onGpu(randomPairs(count, width, 9, 1), count), group = gpuGrouping();
    const before = device.memory.bytes;
    await group(image!, text!, grouping(count, m, 1));
    await group(image!, text!, grouping(count - 60, m, 1)); // a shorter queue takes nothing more
    const taken = device.memory.peak - before, stated = await groupingBytes(width, count, m);
    assert(stated >= 4 * 2 * m * m, "the similarities of a turn");
    assert(Math.abs(taken - stated) <= 0.2 * stated, `${taken} bytes were taken, ${stated} stated`);
    group.destroy();
  });
});
