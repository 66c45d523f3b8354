import { assertAlmostEquals, assertEquals } from "@std/assert";
import { slopeOf } from "./soak.ts";

Deno.test("slopeOf() is the line of least squares with Student's interval, per 1,000 steps", () => {
  const { slope, interval: [low, high], flat, mean } = slopeOf([1000, 2000, 3000, 4000, 5000], [
    2.1,
    3.9,
    6.2,
    7.8,
    10.1,
  ]);
  assertAlmostEquals(slope, 1.99, 1e-9);
  assertAlmostEquals(mean, 6.02, 1e-9);
  // Residuals 0.06, -0.13, 0.18, -0.21, 0.10: their squares add up to 0.107, over 3 degrees of freedom and a spread of 10.
  const half = 3.182446305 * Math.sqrt(0.107 / 3 / 10);
  assertAlmostEquals(low, 1.99 - half, 1e-6);
  assertAlmostEquals(high, 1.99 + half, 1e-6);
  assertEquals(flat, false);
});

Deno.test("slopeOf() calls flat what does not grow, or by less than a hundredth in 10,000 steps", () => {
  const steps = Array.from({ length: 20 }, (_, i) => 500 * (i + 1)), noise = steps.map((_, i) => i % 2 ? 1 : -1);
  assertEquals(slopeOf(steps, steps.map(() => 7)).flat, true);
  assertEquals(slopeOf(steps, noise.map((n) => 100 + n)).flat, true);
  assertEquals(slopeOf(steps, steps.map((s) => 1e6 + s / 10)).flat, true);
  assertEquals(slopeOf(steps, steps.map((s, i) => 100 + s / 1000 + noise[i]! / 10)).flat, false);
});
