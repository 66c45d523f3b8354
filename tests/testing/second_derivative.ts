/** Second derivatives of ops against differences of their float64 references. */
import { grad } from "../../src/autograd/grad.ts";
import { square } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { concat, reshape } from "../../src/ops/shape.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type CheckOptions, type Reference, type Values } from "./check_op.ts";
import type { HostTensor } from "./run_op.ts";

/**
 * Checks the gradients of sum(fn^2) by the inputs `wrt` (default: all f32 ones), one after the other, and the gradients of these: on the
 * inputs given, for at the edges nothing can be told from differences of differences.
 */
export async function checkSecondDerivatives(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly HostTensor[],
  reference: Reference,
  options: CheckOptions = {},
): Promise<void> {
  const wrt = options.wrt ?? inputs.flatMap(({ dtype = "f32" }, i) => dtype === "f32" ? [i] : []);
  const gradients = (...all: Tensor[]): Tensor => {
    const objective = (own: Tensor[]): Tensor => sum(square(fn(...all.map((x, i) => own[wrt.indexOf(i)] ?? x))));
    return concat(grad(objective)(wrt.map((i) => all[i]!)).map((g) => reshape(g, [g.size])), 0);
  };
  await checkOp(gradients, inputs, slopesOf(reference, wrt), {
    ...{ tolerance: 1e-4, gradientTolerance: 5e-4, edges: "differences of differences" },
    ...options,
    wrt,
  });
}

/** The gradients of sum(reference^2) by differences of the fourth order. */
function slopesOf(reference: Reference, wrt: readonly number[]): Reference {
  return (...all: Values[]) => {
    const objective = (): number => Array.from(reference(...all)).reduce((total, y) => total + y * y, 0);
    return wrt.flatMap((input) => {
      const { data } = all[input]!, step = 1e-3;
      return Array.from(data, (value, i) => {
        const at = (h: number): number => (data[i] = value + h, objective());
        const slope = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
        data[i] = value;
        return slope;
      });
    });
  };
}
