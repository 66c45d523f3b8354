/**
 * Schedules joined from pieces. Steps count from 0, and a piece keeps its last value after its last step.
 *
 *     const rate = warmup(100, cosineSchedule(1e-3, 1e-5, 900));
 *     await train(task, { steps: 1000, learningRate: rate });            // of a number, on the host
 *     const optimizer = adamw(rate);                                     // of a tensor, inside of a compiled step
 *
 * @module
 */
import { cast, type Operand } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { Tensor } from "../program/graph.ts";
import { cosine, ifLess, least, minus, over, plus, power, times } from "./_operands.ts";

/** A number that changes with the step: of a number in float64, of a scalar tensor (any type) as f32 in a program. */
export interface Schedule {
  (step: number): number;
  (step: Tensor): Tensor;
}

function schedule(value: (step: Operand) => Operand): Schedule {
  const of = (step: Operand): Operand => {
    if (!(step instanceof Tensor)) return value(step);
    const result = value(cast(step, "f32"));
    return result instanceof Tensor ? result : full([], result);
  };
  return of as Schedule;
}

/** A schedule of either kind of step. */
function at(piece: Schedule, step: Operand): Operand {
  return (piece as (step: Operand) => Operand)(step);
}

function checkSteps(name: string, steps: number): void {
  if (Number.isInteger(steps) && steps >= 1) return;
  throw new RangeError(`Cannot make a ${name}: steps must be a whole number of at least 1: they are ${steps}`);
}

/** The same value always. */
export function constantSchedule(value: number): Schedule {
  return schedule(() => value);
}

/** From `from` at step 0 in equal steps to `to` at step `steps`. */
export function linearSchedule(from: number, to: number, steps: number): Schedule {
  return polynomialSchedule(from, to, steps, 1);
}

/** From `from` to `to` in `steps` steps: to + (from - to) (1 - step / steps)^power. */
export function polynomialSchedule(from: number, to: number, steps: number, exponent: number): Schedule {
  checkSteps("polynomial schedule", steps);
  return schedule((step) => {
    const left = minus(1, least(over(step, steps), 1));
    return plus(to, times(from - to, exponent === 1 ? left : power(left, exponent)));
  });
}

/** From `from` to `to` in `steps` steps by half a wave of the cosine (Loshchilov and Hutter 2017, without restarts). */
export function cosineSchedule(from: number, to: number, steps: number): Schedule {
  checkSteps("cosine schedule", steps);
  return schedule((step) => {
    const angle = times(Math.PI, least(over(step, steps), 1));
    return plus(to, times((from - to) / 2, plus(1, cosine(angle))));
  });
}

/** `from`, multiplied by `factor` with every `steps` steps, and smoothly between them. */
export function exponentialSchedule(from: number, factor: number, steps: number): Schedule {
  checkSteps("exponential schedule", steps);
  if (!(factor > 0)) {
    throw new RangeError(`Cannot make an exponential schedule: factor must be above 0: it is ${factor}`);
  }
  return schedule((step) => times(from, power(factor, over(step, steps))));
}

/** `from`, multiplied by `factor` at each of the steps `boundaries` (PyTorch's MultiStepLR). */
export function stepSchedule(from: number, factor: number, boundaries: readonly number[]): Schedule {
  checkBoundaries("step schedule", boundaries);
  return joinSchedules([0, ...boundaries].map((_, i) => constantSchedule(from * factor ** i)), boundaries);
}

/**
 * The pieces one after the other: piece i + 1 begins, at its own step 0, at step `boundaries[i]`.
 *
 * @throws {RangeError} Unless boundaries rise from 1 on, and there is one between each two pieces.
 */
export function joinSchedules(pieces: readonly Schedule[], boundaries: readonly number[]): Schedule {
  checkBoundaries("joined schedule", boundaries);
  if (pieces.length !== boundaries.length + 1) {
    throw new RangeError(
      `Cannot make a joined schedule: there must be ${
        boundaries.length + 1
      } pieces for the boundaries [${boundaries}]: ` +
        `there are ${pieces.length}`,
    );
  }
  return schedule((step) =>
    boundaries.reduce(
      (before, boundary, i) => ifLess(step, boundary, before, at(pieces[i + 1]!, minus(step, boundary))),
      at(pieces[0]!, step),
    )
  );
}

/** A rise to the first value of `after` in `steps` equal steps, the first of which is not 0; `after` begins at step `steps`. */
export function warmup(steps: number, after: Schedule): Schedule {
  checkSteps("warm-up", steps);
  const top = after(0), rise = schedule((step) => times(top / steps, plus(step, 1)));
  return joinSchedules([rise, after], [steps]);
}

function checkBoundaries(name: string, boundaries: readonly number[]): void {
  if (boundaries.every((b, i) => Number.isInteger(b) && b > (boundaries[i - 1] ?? 0))) return;
  throw new RangeError(
    `Cannot make a ${name}: boundaries must be whole numbers that rise from 1 on: they are [${boundaries}]`,
  );
}
