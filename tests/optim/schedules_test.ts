import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { cosineBySteps } from "../../src/optim/schedule.ts";
import {
  constantSchedule,
  cosineSchedule,
  exponentialSchedule,
  joinSchedules,
  linearSchedule,
  polynomialSchedule,
  type Schedule,
  stepSchedule,
  warmup,
} from "../../src/optim/schedules.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertRefused } from "../testing/refusals.ts";

/** Schedules, and their values at some steps. */
const cases: Record<string, [schedule: Schedule, values: Record<number, number>]> = {
  constant: [constantSchedule(0.3), { 0: 0.3, 7: 0.3 }],
  linear: [linearSchedule(1, 0.2, 4), { 0: 1, 1: 0.8, 3: 0.4, 4: 0.2, 100: 0.2 }],
  rising: [linearSchedule(0, 2, 8), { 0: 0, 2: 0.5, 8: 2, 9: 2 }],
  polynomial: [polynomialSchedule(1, 0.5, 10, 2), { 0: 1, 5: 0.625, 10: 0.5, 11: 0.5 }],
  cosine: [cosineSchedule(1, 0.1, 6), { 0: 1, 2: 0.775, 3: 0.55, 6: 0.1, 60: 0.1 }],
  exponential: [exponentialSchedule(2, 0.5, 3), { 0: 2, 3: 1, 6: 0.5, 1: 2 * 0.5 ** (1 / 3) }],
  steps: [stepSchedule(8, 0.5, [2, 5]), { 0: 8, 1: 8, 2: 4, 4: 4, 5: 2, 50: 2 }],
  joined: [
    joinSchedules([linearSchedule(0, 1, 2), constantSchedule(1), linearSchedule(1, 0, 4)], [2, 5]),
    { 0: 0, 1: 0.5, 2: 1, 4: 1, 5: 1, 7: 0.5, 9: 0, 12: 0 },
  ],
  warmup: [warmup(4, cosineSchedule(1, 0, 2)), { 0: 0.25, 1: 0.5, 3: 1, 4: 1, 5: 0.5, 6: 0, 7: 0 }],
};

Deno.test("schedules have their values, of numbers and of steps on the GPU alike", async () => {
  const all = compile((step: Tensor) => Object.values(cases).map(([schedule]) => schedule(step)));
  for (const [i, [name, [schedule, values]]] of Object.entries(cases).entries()) {
    for (const [step, value] of Object.entries(values)) {
      assertAlmostEquals(schedule(Number(step)), value, 1e-12, `${name} of ${step}`);
      const found = await toHost((await all(tensor(Int32Array.of(Number(step)), [])))[i]!);
      assertAlmostEquals(found[0]!, value, 1e-6 * 8, `${name} of ${step} in a program`);
    }
  }
  all.destroy();
});

Deno.test("a schedule of a float step is the same, and warmup() before a cosine is cosineBySteps()", async () => {
  const [schedule] = cases.warmup!;
  assertAlmostEquals((await toHost(schedule(tensor(5))))[0]!, 0.5, 1e-6);
  const joined = warmup(3, cosineSchedule(1e-3, 1e-5, 17));
  for (let step = 0; step < 25; step++) {
    assertAlmostEquals(joined(step), cosineBySteps(step, { rate: 1e-3, minRate: 1e-5, warmup: 3, total: 20 }), 1e-15);
  }
  const rate: (step: number, epoch: number) => number = joined; // what train() takes
  assert(rate(0, 0) > 0);
});

Deno.test("schedules refuse numbers that make no sense", async () => {
  assertEquals(stepSchedule(1, 0.1, [])(5), 1);
  await assertRefused(
    [() => linearSchedule(0, 1, 0), "steps must be a whole number of at least 1: they are 0"],
    [() => cosineSchedule(0, 1, 1.5), "Cannot make a cosine schedule: steps must be a whole number"],
    [() => warmup(0, constantSchedule(1)), "Cannot make a warm-up: steps must be"],
    [() => exponentialSchedule(1, -1, 5), "factor must be above 0: it is -1"],
    [() => stepSchedule(1, 0.1, [5, 3]), "boundaries must be whole numbers that rise from 1 on: they are [5,3]"],
    [() => joinSchedules([constantSchedule(1)], [4]), "there must be 2 pieces for the boundaries [4]: there are 1"],
  );
});
