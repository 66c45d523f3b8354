/**
 * Elements moved along axes, around the end.
 *
 * @module
 */
import { apply, type Op, type Tensor } from "../program/graph.ts";
import { asF32 } from "./_float.ts";
import { stridedCopy, stridesOf } from "./_strided_copy.ts";
import { type AxisOrAxes, distinctAxes } from "./axes.ts";

const rollOp: Op<{ readonly turns: readonly number[] }> = {
  name: "roll",
  infer: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  batch: (inputs, { turns }, batch) => batch.apply(inputs, { turns: [0, ...turns] }),
  lower(ctx, { inputs: [x], attrs: { turns } }): void {
    const strides = stridesOf(x!.shape);
    stridedCopy(ctx, "roll", x!.shape.map((length, i) => ({ length, stride: strides[i]!, turn: turns[i]! })));
  },
  vjp: ({ inputs: [x], attrs: { turns } }, [ct]) => [
    apply(rollOp, [ct!], { turns: turns.map((turn, i) => turn && x!.shape[i]! - turn) }),
  ],
};

/**
 * x with every element moved by a number of places along an axis or several, those beyond the end coming in again at the
 * start, as `numpy.roll`.
 *
 * @param x f32, f16 (the result is f32), i32 or u32.
 * @param shift Places to move by along each of the axes, negative ones towards the start.
 * @param axis The axes, negative ones from the end.
 */
export function roll(x: Tensor, shift: number | readonly number[], axis: AxisOrAxes): Tensor {
  const shifts = [shift].flat(), axes = distinctAxes("roll", axis, x.shape.length);
  if (shifts.length !== axes.length || !shifts.every(Number.isInteger)) {
    throw new RangeError(
      `Cannot apply roll: there must be an integer for every axis: shifts are [${shifts}], axes are [${[axis].flat()}]`,
    );
  }
  const turns = x.shape.map((length, i) => {
    const at = axes.indexOf(i);
    return at < 0 ? 0 : (length - shifts[at]! % length) % length;
  });
  const y = asF32(x);
  return turns.every((turn) => turn === 0) ? y : apply(rollOp, [y], { turns });
}
