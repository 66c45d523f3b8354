import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import { seededDraws } from "../../src/grit/draws.ts";
import type { GritMode, SamplerOptions } from "../../src/grit/options.ts";
import { checkPermutation } from "../../src/grit/order.ts";
import { GritSampler, type Grouping, type GroupingSearch } from "../../src/grit/sampler.ts";
import { decodeState, encodeState } from "../../src/grit/state.ts";
import { type Features, groupOnCpu } from "../../src/grit/walk.ts";
import { runPass } from "../golden/grit.ts";
import { randomPairs } from "./features.ts";

const MODES: readonly GritMode[] = ["grit", "no-shuffle", "naive", "off"];

/** Walks that end at random, in place of the search. */
function randomChains({ subQueues }: Grouping, random: Random): Int32Array[] {
  return Array.from(subQueues, (size) => random.permutation(size));
}

/** Examples of each walk of one pass, in the order of the walk. */
function collectPass(sampler: GritSampler, random: Random): Int32Array[] {
  const walks: Int32Array[] = [];
  let queue: number[] = [];
  while (sampler.step < sampler.steps) {
    const indices = sampler.batch(sampler.step);
    assertEquals(sampler.collect(indices), sampler.collecting ? queue.length : undefined);
    queue.push(...indices);
    if (!sampler.needsGrouping) continue;
    const grouping = sampler.grouping();
    const chains = randomChains(grouping, random);
    let at = 0;
    chains.forEach((chain) => {
      walks.push(Int32Array.from(chain, (p) => queue[grouping.permutation[at + p]!]!));
      at += chain.length;
    });
    assertEquals(at, queue.length);
    sampler.accept(chains);
    queue = [];
  }
  sampler.nextPass();
  return walks;
}

/** Asserts that every whole mini-batch, but the one that takes in the tail, is an aligned run of one walk. */
function assertRuns(sampler: GritSampler, walks: readonly Int32Array[], what: string): void {
  const { examples, miniBatch } = sampler.options;
  const runs = new Set(
    walks.flatMap((walk) =>
      Array.from({ length: walk.length / miniBatch }, (_, k) => walk.slice(k * miniBatch, (k + 1) * miniBatch).join())
    ),
  );
  assertEquals(runs.size, sampler.steps, what);
  for (let step = examples % miniBatch ? 1 : 0; step < sampler.steps; step++) {
    assert(runs.delete(sampler.batch(step).join()), `${what}: mini-batch ${step} is a run of a walk`);
  }
  if (examples % miniBatch === 0) return;
  const [cut] = runs;
  const tail = examples % miniBatch;
  const first = sampler.batch(0).subarray(tail);
  assertEquals([...first, ...sampler.order.subarray(examples - tail)].join(), cut, `${what}: one chunk is cut`);
}

/** Follows one run over some epochs and asserts all that the sampler promises of orders. */
function follow(options: SamplerOptions, epochs: number): void {
  const sampler = new GritSampler(options);
  const random = new Random(options.examples);
  const tail = options.examples % sampler.options.miniBatch;
  let leftOut: number[] = [];
  let walks: Int32Array[] = [];
  while (sampler.epoch < epochs) {
    const what = `${JSON.stringify(options)}, epoch ${sampler.epoch}`;
    checkPermutation(sampler.order, options.examples, `the order of ${what}`);
    const collects = sampler.collecting;
    if (sampler.pass === "train") {
      assertEquals([...sampler.order.subarray(0, leftOut.length)], leftOut, `${what}: the tail is trained first`);
      leftOut = [...sampler.order.subarray(options.examples - tail)];
      if (walks.length) assertRuns(sampler, walks, what);
    }
    const found = collectPass(sampler, random);
    walks = collects ? found : [];
  }
  checkPermutation(sampler.order, options.examples, "the order after the last epoch");
}

Deno.test("every order is a permutation, trains the last tail first and keeps runs of walks, for thousands of sizes", () => {
  let combinations = 0;
  for (const miniBatch of [1, 2, 3, 5]) {
    for (const groups of [1, 2, 3]) {
      for (const queues of [1, 2, 3]) {
        const subQueue = miniBatch * groups;
        const queue = subQueue * queues;
        for (let examples = miniBatch; examples <= 2 * queue + subQueue + 2; examples++) {
          for (const mode of MODES) {
            follow({ examples, miniBatch, subQueue, queue, mode, seed: combinations++ }, 3);
          }
        }
      }
    }
  }
  assert(combinations > 3000, `${combinations} combinations`);
});

Deno.test("the sampler plans epochs of the default sizes with an odd number of examples", () => {
  for (const mode of MODES) follow({ examples: 48_000 + 960 + 96 + 95, mode, seed: 3 }, 2);
});

Deno.test("groups of a real walk become the mini-batches of the next epoch", async () => {
  const { image, text } = randomPairs(60, 8, 5, 1);
  const sampler = new GritSampler({ examples: 60, miniBatch: 5, subQueue: 20, queue: 60, mode: "no-shuffle", seed: 1 });
  const order = sampler.order.slice();
  const subQueues = Uint32Array.of(20, 20, 20);
  await runPass(sampler, image, text, groupOnCpu);
  sampler.nextPass();
  const expected = groupOnCpu(image, text, {
    permutation: order,
    subQueues,
    starts: seededDraws(1).starts(0, 0, subQueues),
  });
  assertEquals([...sampler.order], expected.flatMap((chain, g) => Array.from(chain, (p) => order[g * 20 + p]!)));
});

Deno.test("the order is a function of the seed", async () => {
  const { image, text } = randomPairs(50, 8, 5, 1);
  const orders = await Promise.all([1, 1, 2].map(async (seed) => {
    const sampler = new GritSampler({ examples: 50, miniBatch: 4, subQueue: 8, queue: 24, seed });
    const seen: number[] = [];
    while (sampler.epoch < 3) {
      await runPass(sampler, image, text, groupOnCpu);
      sampler.nextPass();
      seen.push(...sampler.order);
    }
    return seen;
  }));
  assertEquals(orders[0], orders[1]);
  assertNotEquals(orders[0], orders[2]);
});

Deno.test("chunks of all queues of an epoch are shuffled together, and dealt anew in each epoch", async () => {
  const [miniBatch, queue, examples] = [2, 40, 40 * 4 + 10]; // the last queue is short
  const { image, text } = randomPairs(examples, 8, 30, 3);
  const sampler = new GritSampler({ examples, miniBatch, subQueue: 20, queue, seed: 4 });
  for (let epoch = 0; epoch < 3; epoch++) {
    const before = sampler.order.slice(), expected = seededDraws(4).chunks(epoch, sampler.steps);
    const queueOf = new Map(Array.from(before, (example, place) => [example, Math.floor(place / queue)]));
    await runPass(sampler, image, text, groupOnCpu);
    const { grouped } = sampler.state();
    sampler.nextPass();
    const dealt = Array.from(expected, (chunk) => [...grouped.subarray(chunk * miniBatch, (chunk + 1) * miniBatch)]);
    assertEquals([...sampler.order], dealt.flat(), "one permutation of all chunks");
    const queues = Array.from({ length: sampler.steps }, (_, k) => {
      const [first, second] = Array.from(sampler.batch(k), (example) => queueOf.get(example)!);
      assertEquals(first, second, "a chunk comes from one queue");
      return first!;
    });
    for (let first = 0; first + 20 <= queues.length; first += 20) { // what fills a queue next
      assert(new Set(queues.slice(first, first + 20)).size >= 3, `queue of epoch ${epoch + 1}: ${queues}`);
    }
  }
});

Deno.test("the order is a function of the seed, the epoch and the features only", async () => {
  const options = { examples: 53, miniBatch: 4, subQueue: 8, queue: 24, seed: 7 };
  const [features, others] = [randomPairs(53, 8, 5, 1), randomPairs(53, 8, 5, 2)];
  const later: GroupingSearch<Features> = async (...args) => { // takes its time
    await new Promise((resolve) => setTimeout(resolve, 2 * Math.random()));
    return groupOnCpu(...args);
  };
  const follow = async (
    options: SamplerOptions,
    { image, text } = features,
    group: GroupingSearch<Features> = groupOnCpu,
  ) => {
    const sampler = new GritSampler(options), orders: string[] = [];
    while (sampler.epoch < 3) {
      await runPass(sampler, image, text, group);
      sampler.nextPass();
      orders.push(sampler.order.join());
    }
    return orders;
  };
  const orders = await follow(options);
  assertEquals(await follow(options, features, later), orders);
  // Powers of two change no comparison of similarities, so neither does a temperature that is one.
  const scaled = { ...features, image: { ...features.image, data: features.image.data.map((x) => 1024 * x) } };
  assertEquals(await follow(options, scaled), orders);
  assertEquals(new Set(orders).size, 3, "every epoch has an order of its own");
  for (const changed of [await follow({ ...options, seed: 8 }), await follow(options, others)]) {
    changed.forEach((order, epoch) => assertNotEquals(order, orders[epoch]));
  }
  // The epoch alone: the same order and features in another epoch.
  const sampler = new GritSampler(options);
  const again = GritSampler.restore(options, { ...sampler.state(), epoch: 1 });
  for (const s of [sampler, again]) {
    await runPass(s, features.image, features.text, groupOnCpu);
    s.nextPass();
  }
  assertNotEquals(again.order, sampler.order);
});

Deno.test("walks start anywhere in a sub-queue, officially never at its last position", () => {
  const sizes = new Uint32Array(400).fill(4);
  assertEquals(new Set(seededDraws(5).starts(0, 0, sizes)).size, 4);
  assertEquals(Math.max(...seededDraws(5, true).starts(0, 0, sizes)), 2);
  assertEquals([...seededDraws(5, true).starts(0, 0, Uint32Array.of(1))], [0]);
});

for (const mode of MODES) {
  Deno.test(`a sampler in mode "${mode}" restored after any step goes on as the uninterrupted one`, () => {
    const options = { examples: 47, miniBatch: 3, subQueue: 6, queue: 18, mode, seed: 9 };
    const run = (interruptAt: number): number[] => {
      let sampler = new GritSampler(options);
      const seen: number[] = [];
      let steps = 0;
      const maybeInterrupt = () => {
        if (steps++ !== interruptAt) return;
        sampler = GritSampler.restore(options, decodeState(encodeState(sampler.state()), "sampler.bin"));
      };
      while (sampler.epoch < 3) {
        while (sampler.step < sampler.steps) {
          sampler.collect(sampler.batch(sampler.step));
          maybeInterrupt();
          const random = new Random(sampler.epoch).fork(sampler.step);
          if (sampler.needsGrouping) sampler.accept(randomChains(sampler.grouping(), random));
          maybeInterrupt();
        }
        sampler.nextPass();
        seen.push(...sampler.order);
        maybeInterrupt();
      }
      return seen;
    };
    const uninterrupted = run(-1);
    for (let at = 0; at < 70; at++) assertEquals(run(at), uninterrupted, `interrupted at ${at}`);
  });
}

Deno.test("a state of other options is refused, naming the option and both values", () => {
  const options = { examples: 47, miniBatch: 3, subQueue: 6, queue: 18, seed: 9 };
  const state = new GritSampler(options).state();
  const restore = (changes: Partial<SamplerOptions>) => () => GritSampler.restore({ ...options, ...changes }, state);
  assertThrows(restore({ queue: 24 }), RangeError, `"queue" is 18 in the saved state and 24 now`);
  assertThrows(restore({ mode: "off" }), RangeError, `"mode" is "grit" in the saved state and "off" now`);
});

Deno.test("a state that contradicts itself is refused", () => {
  const options = { examples: 12, miniBatch: 2, subQueue: 4, queue: 4, seed: 9 };
  const sampler = new GritSampler(options);
  while (sampler.step < 3) {
    sampler.collect(sampler.batch(sampler.step));
    if (sampler.needsGrouping) sampler.accept(randomChains(sampler.grouping(), new Random(1)));
  }
  const state = sampler.state();
  const restore = (changes: Partial<typeof state>) => () => GritSampler.restore(options, { ...state, ...changes });
  assertEquals(GritSampler.restore(options, state).state(), state);
  assertThrows(restore({ step: 7 }), RangeError, "its step must be one of 0..6: it is 7");
  assertThrows(restore({ order: state.order.fill(0, 0, 2) }), RangeError, "the saved order of the epoch");
  assertThrows(restore({ order: sampler.order, grouped: state.grouped.slice(1) }), RangeError, "3 grouped examples");
  const foreign = Int32Array.from([...state.grouped.slice(1), sampler.order[11]!]);
  assertThrows(
    restore({ order: sampler.order, grouped: foreign }),
    RangeError,
    "entry 3 must be one of 0..3: it is 11",
  );
});

Deno.test("bytes of a state that are cut short, changed or not a state are refused, naming the file", () => {
  const bytes = encodeState(new GritSampler({ examples: 50, miniBatch: 4, subQueue: 8, queue: 24, seed: 1 }).state());
  const changed = bytes.slice();
  changed[300]! ^= 1;
  for (const wrong of [bytes.subarray(0, -4), bytes.subarray(0, -1), changed, new Uint8Array(0), new Uint8Array(64)]) {
    assertThrows(() => decodeState(wrong, "sampler.bin"), SyntaxError, `"sampler.bin" is`);
  }
  assertEquals(encodeState(decodeState(bytes, "sampler.bin")), bytes);
});

Deno.test("sizes that do not fit each other are refused", () => {
  const make = (options: Partial<SamplerOptions>) => () =>
    new GritSampler({ examples: 100, miniBatch: 4, subQueue: 8, queue: 16, seed: 1, ...options });
  assertThrows(make({ subQueue: 10 }), RangeError, `"subQueue" must be a multiple of "miniBatch": 10 is none of 4`);
  assertThrows(make({ queue: 20 }), RangeError, `"queue" must be a multiple of "subQueue": 20 is none of 8`);
  assertThrows(make({ examples: 3 }), RangeError, "it has 3 examples, a mini-batch 4");
  assertThrows(make({ examples: 0 }), RangeError, `"examples" must be a whole number from 1`);
  assertThrows(make({ miniBatch: 2.5 }), RangeError, `"miniBatch" must be a whole number from 1`);
  assertThrows(make({ subQueue: 9600, queue: 48_000 }), RangeError, `"subQueue" must be at most 8192: it is 9600`);
  assertEquals(new GritSampler({ examples: 100, miniBatch: 50, mode: "off", seed: 1 }).steps, 2);
});

Deno.test("calls out of turn are refused", () => {
  const sampler = new GritSampler({ examples: 12, miniBatch: 2, subQueue: 4, queue: 4, seed: 1 });
  assertThrows(() => sampler.collect([-1, -2]), RangeError, "Cannot collect mini-batch 0: entry 0 must be example");
  assertThrows(
    () => sampler.collect([...sampler.batch(0), 1]),
    RangeError,
    "it must have 2 examples: it has 3",
  );
  assertThrows(() => sampler.grouping(), Error, "the queue is not full: it holds 0 examples");
  assertThrows(() => sampler.nextPass(), Error, "6 mini-batches are left");
  assertThrows(() => sampler.batch(6), RangeError, "the pass has mini-batches 0..5");
  sampler.collect(sampler.batch(0));
  sampler.collect(sampler.batch(1));
  assertThrows(() => sampler.collect(sampler.batch(2)), Error, "the full queue must be grouped first");
});
