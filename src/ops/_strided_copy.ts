/**
 * Copies of elements that lie at regular places: what transposes, slices with steps, flips and rolls run.
 *
 * @module
 */
import source from "../../kernels/strided_copy.wgsl" with { type: "text" };
import { sizeOf } from "../program/graph.ts";
import type { Lowering } from "../program/lowering.ts";
import { flatKernel } from "./_rows.ts";

/** An axis of the result. */
export interface CopyAxis {
  readonly length: number;
  /** Elements of the input from one to the next; may be negative. */
  readonly stride: number;
  /** Which element the result begins with, the others following around the end. Default 0. */
  readonly turn?: number;
}

/** Elements of a row-major tensor from one to the next along each axis. */
export function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/** Axes without those of length 1, neighbours merged where they are neighbours in the input too; at least one. */
export function mergedAxes(axes: readonly CopyAxis[]): Required<CopyAxis>[] {
  const merged: Required<CopyAxis>[] = [];
  for (const { length, stride, turn = 0 } of axes) {
    const last = merged[merged.length - 1];
    if (length === 1) continue;
    if (last?.stride === length * stride && turn === 0) {
      merged[merged.length - 1] = { length: last.length * length, stride, turn: last.turn * length };
    } else merged.push({ length, stride, turn });
  }
  return merged.length ? merged : [{ length: 1, stride: 1, turn: 0 }];
}

/** Dispatches the copy of input 0, from element `offset` on, to result 0, whose axes are `given`. */
export function stridedCopy(ctx: Lowering, name: string, given: readonly CopyAxis[], offset = 0): void {
  const axes = mergedAxes(given).reverse(), last = axes[0]!, others = axes.slice(1);
  const fours = last.stride === 1 && [last.length, last.turn, offset, ...others.map((a) => a.stride)].every(isFours);
  const width = fours ? 4 : 1, count = sizeOf(axes.map((a) => a.length)) / width;
  const sizes = axes.flatMap(({ length, stride, turn }, i): [string, number][] => [
    [`length${i}`, i === 0 ? length / width : length],
    [`stride${i}`, i === 0 ? stride >>> 0 : stride / width >>> 0],
    [`turn${i}`, i === 0 ? turn / width : turn],
  ]);
  const consts = { VECTOR: fours, TURNS: axes.some((a) => a.turn > 0), RANK: axes.length };
  const kernel = flatKernel(name, source, { device: ctx.device, consts });
  const u = { count, offset: offset / width, ...Object.fromEntries(sizes) };
  ctx.dispatch(kernel.over(count, { x: ctx.inputs[0], y: ctx.outputs[0], u }));
}

/** Whether a number of elements is one of whole vectors of four. */
export function isFours(n: number): boolean {
  return n % 4 === 0;
}
