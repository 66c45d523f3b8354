/** One step of AdamW against its formulas in float64. */
import type { Device } from "../../src/gpu/device.ts";
import { type AdamWState, flatAdamW, stepInputs } from "../../src/optim/adamw.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";

const BETA1 = 0.9, BETA2 = 0.999, EPS = 1e-8, DECAY = 0.02, RATE = 1e-2, STEP = 3;

/** Checks `size` parameters in the third step, from moments that are not 0. */
export function adamwCheck(size: number): (device: Device) => Promise<void> {
  return async (device) => {
    const [value, mu, gradient] = [1, 2, 3].map((seed) => randomTensor([size], seed).data as Float32Array);
    const nu = randomTensor([size], 4, 0.5, 0.6).data as Float32Array;
    const inputs = stepInputs(RATE, STEP), state = (x: Float32Array): Tensor[] => [tensor(x)];
    const step = {
      rate: tensor(inputs.rate),
      correction1: tensor(inputs.correction1),
      correction2: tensor(inputs.correction2),
    };
    const update = compile(
      (s: AdamWState, g: Tensor[], at: typeof step) =>
        flatAdamW(s, g, [{ size, decay: true, bounds: undefined }], at, { weightDecay: DECAY }),
      { device },
    );
    const next = await update({ values: state(value!), mu: state(mu!), nu: state(nu) }, state(gradient!), step);
    const results = await toHost([next.values[0]!, next.mu[0]!, next.nu[0]!]);
    update.destroy();
    const first = Float64Array.from(mu!, (m, i) => BETA1 * m + (1 - BETA1) * gradient![i]!);
    const second = Float64Array.from(nu, (v, i) => BETA2 * v + (1 - BETA2) * gradient![i]! ** 2);
    const moved = Float64Array.from(value!, (x, i) => {
      const root = Math.sqrt(second[i]! / (1 - BETA2 ** STEP)) + EPS;
      return x * (1 - RATE * DECAY) - RATE * first[i]! / (1 - BETA1 ** STEP) / root;
    });
    [moved, first, second].forEach((expected, i) => assertClose(results[i]!, expected));
  };
}
