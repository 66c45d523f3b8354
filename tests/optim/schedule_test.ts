import { assertAlmostEquals, assertEquals } from "@std/assert";
import { cosineBySteps, learningRate, rateAt } from "../../src/optim/schedule.ts";

const close = (a: number, b: number): void => assertAlmostEquals(a, b, 1e-12);

Deno.test("learningRate() rises in blocks of 100 steps to 1e-4 after step 2000 and stays there in epoch 0", () => {
  close(learningRate(0, 0), 1e-5);
  close(learningRate(0, 100), 1e-5); // the rate of block 1 is set after step 100
  close(learningRate(0, 101), 1e-5 + 9e-5 / 20);
  close(learningRate(0, 200), 1e-5 + 9e-5 / 20);
  close(learningRate(0, 201), 1e-5 + 2 * 9e-5 / 20);
  close(learningRate(0, 2000), 1e-5 + 19 * 9e-5 / 20);
  close(learningRate(0, 2001), 1e-4);
  close(learningRate(0, 50_000), 1e-4);
});

Deno.test("learningRate() follows a cosine of 30 epochs from epoch 1 on, which the official run leaves after 20", () => {
  for (let epoch = 1; epoch < 30; epoch++) {
    const expected = 1e-5 + 0.5 * 9e-5 * (1 + Math.cos(Math.PI * epoch / 30));
    close(learningRate(epoch, 0), expected);
    close(learningRate(epoch, 12345), expected);
  }
  assertAlmostEquals(learningRate(9, 0), 8.15e-5, 5e-8);
  assertAlmostEquals(learningRate(19, 0), 3.67e-5, 5e-8);
  close(learningRate(30, 0), 1e-5);
  close(learningRate(31, 0), 1e-5);
});

Deno.test("a short epoch 0 cuts the warm-up off and the rate jumps", () => {
  close(learningRate(0, 499), 1e-5 + 4 * 9e-5 / 20);
  close(learningRate(1, 500), 1e-5 + 0.5 * 9e-5 * (1 + Math.cos(Math.PI / 30)));
});

Deno.test("learningRate() takes other numbers", () => {
  const options = { rate: 2e-3, minRate: 1e-4, warmupRate: 0, warmupBlocks: 2, blockSteps: 10, epochs: 4 };
  close(learningRate(0, 5, options), 0);
  close(learningRate(0, 11, options), 1e-3);
  close(learningRate(0, 21, options), 2e-3);
  close(learningRate(2, 0, options), 1.05e-3);
  close(learningRate(4, 0, options), 1e-4);
  close(rateAt(1, options), 1e-3);
});

Deno.test("cosineBySteps() warms up from the first step and falls to the last rate", () => {
  const options = { rate: 1, minRate: 0.1, warmup: 4, total: 24 };
  assertEquals([0, 1, 2, 3, 4].map((s) => cosineBySteps(s, options)), [0.25, 0.5, 0.75, 1, 1]);
  close(cosineBySteps(14, options), 0.55);
  close(cosineBySteps(24, options), 0.1);
  close(cosineBySteps(99, options), 0.1);
  for (let s = 4; s < 23; s++) assertEquals(cosineBySteps(s + 1, options) < cosineBySteps(s, options), true);
  assertEquals(cosineBySteps(0, { rate: 1, minRate: 0, warmup: 0, total: 1 }), 1);
});
