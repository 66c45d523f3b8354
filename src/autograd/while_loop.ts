/**
 * Loops that end by a condition, within a bound.
 *
 * @module
 */
import { truth } from "../ops/any.ts";
import { add, cast, multiply, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { logicalNot } from "../ops/logic.ts";
import { reshape, stopGradient } from "../ops/shape.ts";
import { Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { entries, mapTrees, type Tree } from "../program/tree.ts";
import { checkCarry, scan } from "./scan.ts";

/** Options of {@linkcode whileLoop}. */
export interface WhileLoopOptions {
  /** The most turns: as many are dispatched, whether or not the loop has ended before. */
  readonly maxSteps: number;
}

/** How a {@linkcode whileLoop} ended; a type, and no interface, so that it is a `Tree`. */
export type LoopEnd = {
  /** i32 scalar: the turns that counted, from 0 to `maxSteps`. */
  readonly steps: Tensor;
  /** f32 scalar: 1 where the condition is false at the end, 0 where the bound ended the loop. */
  readonly finished: Tensor;
};

/**
 * Repeats `body` while `condition` holds (JAX's `lax.while_loop`), at most `maxSteps` times, for a program is fixed before it runs: the carry
 * at the end, and how the loop ended. Nothing is thrown where the bound is reached: read `finished`.
 *
 * Every turn is dispatched; those after the end change nothing. They run `body` on the first carry, whatever the last one is, so that a
 * body that is finite where the condition holds gives no NaN, neither to the result nor to gradients. If the condition is false
 * at the start, the gradients of what `body` closes over are 0 where it is finite at the first carry. The gradient is that of
 * {@linkcode scan}: it keeps the carry of each turn. `vmap` takes a batch whose elements end each at their own turn.
 *
 * @param condition Of a carry: a scalar of any type, true unless 0. No gradient flows through it.
 * @param body The next carry, like the first.
 * @param init A tree of f32, i32 or u32.
 * @throws {RangeError} if the condition is no scalar, the next carry has another shape or type, or `maxSteps` is no integer from 1 on.
 */
export function whileLoop<C extends Tree>(
  condition: (carry: C) => Tensor,
  body: (carry: C) => C,
  init: C,
  options: WhileLoopOptions,
): [C, LoopEnd] {
  const { maxSteps } = checkOptions("whileLoop", options, { maxSteps: "one" });
  if (!Number.isInteger(maxSteps) || maxSteps < 1) {
    throw new RangeError(`Cannot apply whileLoop: maxSteps must be an integer from 1 on: it is ${maxSteps}`);
  }
  const holds = (carry: C): Tensor => {
    const given = condition(carry);
    if (given instanceof Tensor && given.size === 1) return truth(reshape(given, []));
    throw new RangeError(`Cannot apply whileLoop: the condition must be a scalar: it is ${given}`);
  };
  const start = { carry: init, running: holds(init), steps: full([], 0, "i32") };
  const [{ carry, running, steps }] = scan(
    ({ carry, running, steps }: typeof start, _: Tree) => {
      const safe = mapTrees([carry, init], ([own, first]) => where(running, own!, stopGradient(first!)));
      const next = body(safe);
      checkCarry("whileLoop", entries(init), entries(next));
      const kept = mapTrees([carry, next], ([before, after]) => where(running, after!, before!));
      const turn = {
        carry: kept,
        running: multiply(running, holds(kept)),
        steps: add(steps, cast(running, "i32")),
      };
      return [turn, []] as const;
    },
    start,
    [],
    { length: maxSteps },
  );
  return [carry, { steps, finished: logicalNot(running) }];
}
