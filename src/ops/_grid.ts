/**
 * Elements at regular places of a tensor, taken out or put in: what slices with steps and pads run, and their gradients.
 *
 * @module
 */
import putSource from "../../kernels/put_grid.wgsl" with { type: "text" };
import { apply, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import { flatKernel } from "./_rows.ts";
import { isFours, stridedCopy, stridesOf } from "./_strided_copy.ts";

/** Which elements along an axis: number k, below `count`, is at `start + k * step`; a step may be negative. */
export interface GridAxis {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** One for each axis. */
export type Grid = readonly GridAxis[];

interface PutAttrs {
  readonly grid: Grid;
  readonly shape: readonly number[];
  /** What is elsewhere, as a u32 word. */
  readonly fill: number;
}

const takeOp: Op<{ readonly grid: Grid }> = {
  name: "takeGrid",
  infer: ([x], { grid }) => [{ shape: grid.map((axis) => axis.count), dtype: x!.dtype }],
  lower(ctx, { inputs: [x], attrs: { grid } }): void {
    const strides = stridesOf(x!.shape);
    const axes = grid.map(({ step, count }, i) => ({ length: count, stride: step * strides[i]! }));
    stridedCopy(ctx, "takeGrid", axes, grid.reduce((at, { start }, i) => at + start * strides[i]!, 0));
  },
  vjp: ({ inputs: [x], attrs: { grid } }, [ct]) => [putGrid(ct!, x!.shape, grid)],
  batch: (inputs, { grid }, batch) => batch.apply(inputs, { grid: [...wholeGrid([batch.size]), ...grid] }),
};

const putOp: Op<PutAttrs> = {
  name: "putGrid",
  infer: ([x], { shape }) => [{ shape, dtype: x!.dtype }],
  lower(ctx, { inputs: [x], attrs: { grid, shape, fill } }): void {
    const { axes, offset } = putAxes(x!.shape, grid, shape);
    const last = axes[0]!, others = axes.slice(1);
    const fours = last.step === 1 && last.stride === 1 &&
      [last.length, last.first, last.held, offset, ...others.map((a) => a.stride)].every(isFours);
    const width = fours ? 4 : 1, count = sizeOf(shape) / width;
    const sizes = axes.flatMap(({ length, first, step, held, stride }, i): [string, number][] => {
      const own = i === 0 ? width : 1; // the last axis is counted in loads
      return [
        [`length${i}`, length / own],
        [`first${i}`, first / own],
        [`step${i}`, step],
        [`held${i}`, held / own],
        [`stride${i}`, i === 0 ? stride >>> 0 : stride / width >>> 0],
      ];
    });
    const consts = { VECTOR: fours, RANK: axes.length };
    const kernel = flatKernel("putGrid", putSource, { device: ctx.device, consts });
    const u = { count, offset: offset / width, fill, ...Object.fromEntries(sizes) };
    ctx.dispatch(kernel.over(count, { x: ctx.inputs[0], y: ctx.outputs[0], u }));
  },
  vjp: ({ attrs: { grid } }, [ct]) => [takeGrid(ct!, grid)],
  batch: (inputs, { grid, shape, fill }, batch) =>
    batch.apply(inputs, { grid: [...wholeGrid([batch.size]), ...grid], shape: [batch.size, ...shape], fill }),
};

/** An axis of the result of `putOp`: `held` elements of x, `stride` apart there, from place `first` on, `step` apart. */
interface PutAxis {
  readonly length: number;
  readonly first: number;
  readonly step: number;
  readonly held: number;
  readonly stride: number;
}

/** The axes from the last to the first, with positive steps, merged where they are whole; and where x is entered. */
function putAxes(
  from: readonly number[],
  grid: Grid,
  shape: readonly number[],
): { readonly axes: readonly PutAxis[]; readonly offset: number } {
  const axes: PutAxis[] = [], strides = stridesOf(from);
  let offset = 0;
  for (const [i, { start, step, count }] of grid.entries()) {
    const length = shape[i]!, own = strides[i]!, last = axes[axes.length - 1];
    const back = step < 0 && count > 1, stride = back ? -own : own;
    if (back) offset += (count - 1) * own;
    if (length === 1) continue;
    const axis = {
      length,
      first: back ? start + (count - 1) * step : start,
      step: count > 1 ? Math.abs(step) : 1,
      held: count,
      stride,
    };
    const whole = axis.step === 1 && count === length;
    if (whole && last?.step === 1 && last.stride === length * stride) {
      const { first, held } = last;
      axes[axes.length - 1] = { ...axis, length: last.length * length, first: first * length, held: held * length };
    } else axes.push(axis);
  }
  return { axes: axes.length ? axes.reverse() : [{ length: 1, first: 0, step: 1, held: 1, stride: 1 }], offset };
}

/** The elements of x on a grid. */
export function takeGrid(x: Tensor, grid: Grid): Tensor {
  return apply(takeOp, [x], { grid });
}

/** A tensor of `shape` with x on a grid and `fill`, a u32 word, elsewhere. */
export function putGrid(x: Tensor, shape: readonly number[], grid: Grid, fill = 0): Tensor {
  return apply(putOp, [x], { grid, shape, fill });
}

/** The grid that is all of a tensor. */
export function wholeGrid(shape: readonly number[]): GridAxis[] {
  return shape.map((count) => ({ start: 0, step: 1, count }));
}
