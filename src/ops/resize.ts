/**
 * Images of another size, by the nearest pixel or by bilinear interpolation.
 *
 * @module
 */
import source from "../../kernels/resize.wgsl" with { type: "text" };
import { UnsupportedError } from "../gpu/errors.ts";
import { apply, type Aval, type Node, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import type { Lowering } from "../program/lowering.ts";
import { checkOptions } from "../program/options.ts";
import { type BatchRule, nextAxis } from "./_batch.ts";
import { checkInput, FLOATS } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { flatKernel, MOST_TURNS, widthOf } from "./_rows.ts";
import type { PerAxis } from "./_window.ts";

/** Options of {@linkcode resize}. */
export interface ResizeOptions {
  /**
   * "nearest": pixel floor(i * old / new) of the old image; "bilinear": weights of the two nearest lines and columns, without
   * averaging where the image shrinks.
   */
  readonly method: "nearest" | "bilinear";
  /** Bilinear: whether the centres of the corner pixels stay where they are, and not the corners of the image. Default false. */
  readonly alignCorners?: boolean;
}

/** One axis resized: element j of `to` lies at max(0, j * scale + shift) / divisor of `from`, all in whole numbers. */
interface Axis {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  readonly shift: number;
  readonly divisor: number;
  readonly nearest: boolean;
}

const resizeOp: Op<Axis> = {
  name: "resize",
  infer: ([x], { axis, to }): Aval[] => [{ shape: x!.shape.with(axis, to), dtype: "f32" }],
  lower: (ctx, node) => lowerResize(ctx, node, false),
  batch: nextAxis as BatchRule<Axis>,
  vjp: ({ attrs }, [ct]) => [apply(resizeGradOp, [ct!], attrs)],
};

/** The transpose of the linear map that the op is. */
const resizeGradOp: Op<Axis> = {
  name: "resizeGrad",
  infer: ([g], { axis, from }): Aval[] => [{ shape: g!.shape.with(axis, from), dtype: "f32" }],
  lower: (ctx, node) => lowerResize(ctx, node, true),
  batch: nextAxis as BatchRule<Axis>,
  vjp: ({ attrs }, [ct]) => [apply(resizeOp, [ct!], attrs)],
};

function lowerResize(ctx: Lowering, { avals: [y], attrs }: Node<Axis>, GRAD: boolean): void {
  const { axis, from, to, scale, shift, divisor, nearest } = attrs;
  if (GRAD && ctx.device.kind === "cpu" && to / from > MOST_TURNS / 4) {
    throw new UnsupportedError(
      `Cannot differentiate resize: on a CPU adapter a side may grow ${
        MOST_TURNS / 4
      }-fold: it grows from ${from} to ${to}`,
    );
  }
  const inner = sizeOf(y!.shape.slice(axis + 1)), width = widthOf(inner), count = sizeOf(y!.shape) / width;
  const consts = { GRAD, NEAREST: nearest, VECTOR: width === 4 };
  const kernel = flatKernel(GRAD ? "resizeGrad" : "resize", source, { device: ctx.device, loops: GRAD, consts });
  const u = { count, inner: inner / width, input: from, output: to, scale, shift, divisor };
  ctx.dispatch(kernel.over(count, { x: ctx.inputs[0], y: ctx.outputs[0], u }));
}

/**
 * Images of another size, as PyTorch's `interpolate` gives them (without antialiasing): f32 [..., height, width] of `size`.
 *
 * A pixel that has no weight in a result has no part in it, not even if it is NaN.
 *
 * @param x f32 or f16 [..., height, width].
 * @param size New height and width.
 * @throws {RangeError} if a size is no positive integer, or the product of an old and a new one is 2^30 or more.
 */
export function resize(x: Tensor, size: PerAxis, options: ResizeOptions): Tensor {
  const { method, alignCorners = false } = checkOptions("resize", options, { method: "one", alignCorners: "one" });
  checkInput("resize", "the input", x, FLOATS, ["...", "height", "width"]);
  if (alignCorners && method === "nearest") {
    throw new RangeError("Cannot apply resize: alignCorners must be false where the method is nearest: it is true");
  }
  const rank = x.shape.length;
  return size.reduce((y, to, i) => resizeAxis(y, rank - 2 + i, to, method === "nearest", alignCorners), asF32(x));
}

function resizeAxis(x: Tensor, axis: number, to: number, nearest: boolean, alignCorners: boolean): Tensor {
  const from = x.shape[axis]!;
  if (!Number.isInteger(to) || to < 1 || to * from >= 2 ** 30) {
    throw new RangeError(
      `Cannot apply resize: a new size must be an integer from 1 on, and less than 2^30 / ${from}: it is ${to}`,
    );
  }
  if (to === from) return x;
  const places = nearest
    ? { scale: from, shift: 0, divisor: to }
    : alignCorners
    ? { scale: from - 1, shift: 0, divisor: Math.max(1, to - 1) }
    : { scale: 2 * from, shift: from - to, divisor: 2 * to };
  return apply(resizeOp, [x], { axis, from, to, nearest, ...places });
}
