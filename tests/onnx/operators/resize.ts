/** Resizing: along each axis a product with a matrix of weights, which the host makes from ONNX's formulas. */
import * as ops from "../../../mod.ts";
import { axisOf, type Call, type Operator, type Operators } from "../call.ts";
import { dtypeOf } from "../types.ts";
import { Value } from "../value.ts";
import { indices } from "./shared.ts";

/** How one axis is resized. */
interface Axis {
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  /** The part of the axis that is resized, in mode "tf_crop_and_resize". */
  readonly roi: readonly [number, number];
}

/** How all axes are. */
interface Method {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly cubic: number;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
}

/** Where element x of the result lies in the input. */
function sourceOf(x: number, { from, to, scale, roi: [start, end] }: Axis, coordinates: string): number {
  const length = scale * from; // not rounded
  switch (coordinates) {
    case "align_corners":
      return length === 1 ? 0 : x * (from - 1) / (length - 1);
    case "asymmetric":
      return x / scale;
    case "tf_crop_and_resize":
      return (length === 1 ? (end - start) / 2 : x * (end - start) / (length - 1) + start) * (from - 1);
    case "pytorch_half_pixel":
      return length === 1 ? -0.5 : (x + 0.5) / scale - 0.5;
    case "half_pixel_symmetric":
      return from / 2 * (1 - to / length) + (x + 0.5) / scale - 0.5;
    case "half_pixel":
    case "tf_half_pixel_for_nn":
      return (x + 0.5) / scale - (coordinates === "half_pixel" ? 0.5 : 0);
  }
  throw new Error(`Cannot run Resize: the coordinate transformation ${coordinates} is not known`);
}

/** Cubic convolution (Keys 1981). */
export function cubicKernel(distance: number, a: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/** Weights of neighbours: the first of them is `first` elements behind `left`, which is `ratio`, in (0, 1], before the place. */
function weightsAt(
  ratio: number,
  scale: number,
  { mode, nearest, cubic, antialias }: Method,
): { first: number; weights: number[] } {
  if (mode === "nearest") {
    const right =
      { floor: ratio === 1, ceil: true, round_prefer_floor: ratio > 0.5, round_prefer_ceil: ratio >= 0.5 }[nearest];
    return { first: 0, weights: right ? [0, 1] : [1, 0] };
  }
  const stretch = antialias ? Math.min(scale, 1) : 1, reach = mode === "linear" ? 1 : 2;
  const first = Math.floor(-reach / stretch) + 1,
    distances = Array.from({ length: 2 - 2 * first }, (_, i) => (first + i - ratio) * stretch);
  const weights = distances.map((d) => mode === "linear" ? Math.max(0, 1 - Math.abs(d)) : cubicKernel(d, cubic));
  return { first, weights: antialias ? normalised(weights) : weights };
}

function normalised(weights: readonly number[]): number[] {
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / total);
}

/** One row of weights for each element of the result; undefined where it lies outside of what is cropped. */
function matrixOf(axis: Axis, method: Method): (Float64Array | undefined)[] {
  return Array.from({ length: axis.to }, (_, x) => {
    const at = sourceOf(x, axis, method.coordinates), left = Math.ceil(at) - 1;
    if (method.coordinates === "tf_crop_and_resize" && (at < 0 || at > axis.from - 1)) return undefined;
    const { first, weights } = weightsAt(at - left, axis.scale, method), row = new Float64Array(axis.from);
    const outside = (i: number): boolean => left + first + i < 0 || left + first + i >= axis.from;
    const used = method.excludeOutside ? normalised(weights.map((w, i) => outside(i) ? 0 : w)) : weights;
    used.forEach((w, i) => row[Math.min(Math.max(left + first + i, 0), axis.from - 1)]! += w);
    return row;
  });
}

/** An axis resized: elements taken where each row has a single 1, else a product. */
function alongAxis(
  x: ops.Tensor,
  axis: number,
  rows: readonly (Float64Array | undefined)[],
  extrapolation: number,
): ops.Tensor {
  const from = x.shape[axis]!, places = rows.map((row) => row?.findIndex((w) => w === 1) ?? from);
  const single = rows.every((row, i) => !row || places[i]! >= 0);
  if (single && places.every((p, i) => p === i) && rows.length === from) return x;
  if (single) return ops.take(x, indices(places), axis, { fill: extrapolation });
  const outer = x.shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const weights = ops.tensor(Float32Array.from(rows.flatMap((row) => [...row ?? new Float64Array(from)])), [
    rows.length,
    from,
  ]);
  const product = ops.matmul(weights, ops.reshape(x, [outer, from, x.size / outer / from]));
  const outside = ops.tensor(Float32Array.from(rows, (row) => row ? 0 : extrapolation), [rows.length, 1]);
  const y = rows.every((row) => row) ? product : ops.add(product, outside);
  return ops.reshape(y, x.shape.with(axis, rows.length));
}

/** Scales and lengths of the axes from inputs `scales` or `sizes`. */
async function axesOf(call: Call): Promise<Axis[]> {
  const { shape } = call.value(0), rank = shape.length, old = call.opset < 11;
  const roi = old ? undefined : await call.numbers(1), given = call.floats("scales") ?? await call.numbers(old ? 1 : 2);
  const sizes = old ? undefined : await call.numbers(3), policy = call.string("keep_aspect_ratio_policy", "stretch");
  const axes = call.ints("axes")?.map((a) => axisOf(a, rank)) ?? shape.map((_, i) => i);
  const ratios = sizes?.map((n, i) => n / shape[axes[i]!]!);
  const kept = ratios && policy !== "stretch" ? Math[policy === "not_larger" ? "min" : "max"](...ratios) : undefined;
  return shape.map((from, axis) => {
    const i = axes.indexOf(axis),
      own: readonly [number, number] = roi?.length ? [roi[i]!, roi[i + axes.length]!] : [0, 1];
    if (i < 0) return { from, to: from, scale: 1, roi: [0, 1] };
    const scale = kept ?? ratios?.[i] ?? given![i]!,
      crop = call.string("coordinate_transformation_mode", "") === "tf_crop_and_resize";
    if (sizes) return { from, to: kept ? Math.floor(kept * from + 0.5) : sizes[i]!, scale, roi: own };
    return { from, to: Math.floor(from * (crop ? own[1] - own[0] : 1) * scale), scale, roi: own };
  });
}

/** Before version 11 coordinates are those of mode "asymmetric". */
const resize: Operator = async (call) => {
  const x = call.value(0), old = call.opset < 11;
  const method: Method = {
    mode: call.string("mode", "nearest"),
    coordinates: call.string("coordinate_transformation_mode", old ? "asymmetric" : "half_pixel"),
    nearest: call.string("nearest_mode", old ? "floor" : "round_prefer_floor"),
    cubic: call.float("cubic_coeff_a", -0.75),
    antialias: call.flag("antialias"),
    excludeOutside: call.flag("exclude_outside"),
  };
  const axes = await axesOf(call), extrapolation = call.float("extrapolation_value", 0);
  const source = method.mode === "nearest" ? x.tensor : ops.cast(x.tensor, "f32");
  const y = axes.reduce((t, axis, i) => alongAxis(t, i, matrixOf(axis, linear(method)), extrapolation), source);
  return Value.from(x.type, ops.cast(y, dtypeOf(x.type)));
};

/** Older names of the modes. */
const linear = (m: Method): Method => ({
  ...m,
  mode: m.mode === "bilinear" || m.mode === "trilinear" ? "linear" : m.mode,
});

/** The table. */
export const resizing: Operators = { Resize: resize, Upsample: resize };
