/** Images at places between pixels, and boxes on them. */
import * as ops from "../../../mod.ts";
import type { Call, Operator, Operators } from "../call.ts";
import { sizeOf } from "../types.ts";
import { Value } from "../value.ts";
import { placesOf, stridesOf } from "./shared.ts";

type Tensor = ops.Tensor;

/** A whole place on an axis, and the weight of the element there. */
type Neighbour = readonly [place: Tensor, weight: Tensor];

/** Turned back at both ends until it lies between them. */
function reflected(x: Tensor, low: number, high: number): Tensor {
  if (high === low) return ops.fullLike(x, low);
  const at = ops.remainder(ops.subtract(x, low), 2 * (high - low));
  return ops.add(ops.minimum(at, ops.subtract(2 * (high - low), at)), low);
}

/** How places beyond an axis are taken back to it. */
function inside(x: Tensor, length: number, padding: string, align: boolean): Tensor {
  const [low, high] = align ? [0, length - 1] : [-0.5, length - 0.5];
  if (padding === "border") return ops.clamp(x, 0, length - 1);
  return padding === "reflection" ? reflected(x, low, high) : x;
}

/** Cubic convolution with a = -0.75, as `cubicKernel` of resize.ts but on tensors: distances to 1 and to 2. */
function cubic(distance: Tensor): Tensor {
  const a = -0.75, d = ops.abs(distance);
  const near = ops.add(ops.multiply(ops.multiply(ops.subtract(ops.multiply(d, a + 2), a + 3), d), d), 1);
  const far = ops.subtract(
    ops.multiply(ops.add(ops.multiply(ops.subtract(ops.multiply(d, a), 5 * a), d), 8 * a), d),
    4 * a,
  );
  return ops.where(ops.lessEqual(d, 1), near, ops.where(ops.less(d, 2), far, 0));
}

/** The elements of an axis that share in what is at x. */
function neighbours(x: Tensor, mode: string): Neighbour[] {
  if (mode === "nearest") return [[ops.round(x), ops.onesLike(x)]];
  const left = ops.floor(x), steps = mode === "cubic" ? [-1, 0, 1, 2] : [0, 1];
  return steps.map((step) => {
    const place = ops.add(left, step), distance = ops.subtract(x, place);
    return [place, mode === "cubic" ? cubic(distance) : ops.subtract(1, ops.abs(distance))];
  });
}

/** x [batch, channels, ...]; at one tensor [batch, positions] for each axis of x behind: [batch, channels, positions]. */
function sampled(x: Tensor, at: readonly Tensor[], mode: string, padding: string, align: boolean): Tensor {
  const [batch, channels, ...lengths] = x.shape as [number, number], strides = stridesOf(lengths);
  const flat = ops.reshape(x, [batch, channels, sizeOf(lengths)]);
  const axes = at.map((t, axis) =>
    neighbours(inside(mode === "nearest" ? ops.round(t) : t, lengths[axis]!, padding, align), mode)
  );
  const parts = placesOf(axes.map((a) => a.length)).map((choice) => {
    const chosen = choice.map((i, axis) => axes[axis]![i]!);
    const places = chosen.map(([p], axis) => inside(p, lengths[axis]!, padding, align));
    const bounded = places.map((p, axis) => ops.clamp(ops.trunc(p), 0, lengths[axis]! - 1));
    const valid = places.map((p, axis) => ops.logicalAnd(ops.greater(p, -1), ops.less(p, lengths[axis]!))).reduce(
      ops.multiply,
    );
    const place = bounded.map((p, axis) => ops.multiply(p, strides[axis]!)).reduce(ops.add);
    const weight = ops.multiply(chosen.map(([, w]) => w).reduce((a, b) => ops.multiply(a, b)), valid);
    const taken = ops.takeAlongAxis(flat, ops.expandDims(ops.cast(place, "i32"), 1), 2);
    return ops.multiply(taken, ops.expandDims(weight, 1));
  });
  return parts.reduce(ops.add);
}

/** The grid holds, in its last axis, places from -1 to 1: first along the last axis of the image. */
const gridSample: Operator = (call) => {
  const x = call.x(0),
    grid = call.x(1),
    [batch, channels, ...lengths] = x.shape as [number, number],
    rank = lengths.length;
  const align = call.flag("align_corners"), out = grid.shape.slice(1, -1);
  const mode = call.string("mode", "linear").replace("bilinear", "linear").replace("bicubic", "cubic");
  const at = lengths.map((n, axis) => {
    const t = ops.reshape(ops.slice(grid, rank + 1, rank - 1 - axis, rank - axis), [batch, sizeOf(out)]);
    const from0 = ops.add(t, 1);
    return align ? ops.multiply(from0, (n - 1) / 2) : ops.multiply(ops.subtract(ops.multiply(from0, n), 1), 0.5);
  });
  const y = sampled(x, at, mode, call.string("padding_mode", "zeros"), align);
  return Value.from(call.type, ops.reshape(y, [batch, channels, ...out]));
};

/** theta [batch, d, d + 1] times the places of a grid of size [batch, channels, ...lengths], from -1 to 1. */
const affineGrid: Operator = async (call) => {
  const lengths = (await call.numbers(1))!.slice(2), align = call.flag("align_corners");
  const steps = (n: number, i: number): number => align ? n === 1 ? 0 : -1 + 2 * i / (n - 1) : -1 + (2 * i + 1) / n;
  const rows = placesOf(lengths).map((p) => [...p.map((i, axis) => steps(lengths[axis]!, i)).toReversed(), 1]);
  const grid = ops.tensor(Float32Array.from(rows.flat()), [1, rows.length, lengths.length + 1]);
  const y = ops.matmul(grid, call.x(0), { transposeB: true });
  return Value.from(call.type, ops.reshape(y, [call.value(0).shape[0]!, ...lengths, lengths.length]));
};

/** Four pixels around a place with their weights; none where it is more than a pixel outside. */
function corners(y: number, x: number, height: number, width: number): [place: number, weight: number][] {
  if (y < -1 || y > height || x < -1 || x > width) return [[0, 0], [0, 0], [0, 0], [0, 0]];
  const side = (at: number, n: number): [number, number, number] => {
    const low = Math.floor(Math.max(at, 0));
    return low >= n - 1 ? [n - 1, n - 1, 0] : [low, low + 1, Math.max(at, 0) - low];
  };
  const [top, bottom, fy] = side(y, height), [left, right, fx] = side(x, width);
  return [
    [top * width + left, (1 - fy) * (1 - fx)],
    [top * width + right, (1 - fy) * fx],
    [bottom * width + left, fy * (1 - fx)],
    [bottom * width + right, fy * fx],
  ];
}

/** Boxes of images (He et al. 2017): each is cut into bins, and each bin is the mean, or maximum, of samples. */
const roiAlign: Operator = async (call) => {
  const x = call.x(0),
    rois = (await call.numbers(1))!,
    images = (await call.numbers(2))!,
    [, channels, height, width] = x.shape as [number, number, number, number];
  const rows = call.int("output_height", 1),
    columns = call.int("output_width", 1),
    scale = call.float("spatial_scale", 1);
  const half = call.string("coordinate_transformation_mode", call.opset < 16 ? "output_half_pixel" : "half_pixel") ===
    "half_pixel";
  const planes = ops.reshape(x, [x.shape[0]!, channels, height * width]);
  const boxes = images.map((image, r) => {
    const [x1, y1, x2, y2] = rois.slice(4 * r, 4 * r + 4).map((v) => v * scale - (half ? 0.5 : 0)) as [
      number,
      number,
      number,
      number,
    ];
    const size = [y2 - y1, x2 - x1].map((n) => half ? n : Math.max(n, 1)) as [number, number];
    const bins = [size[0] / rows, size[1] / columns] as const, ratio = call.int("sampling_ratio", 0);
    const samples = bins.map((b) => ratio > 0 ? ratio : Math.ceil(b)) as [number, number];
    const taken = placesOf([rows, columns, ...samples]).flatMap(([p, q, i, j]) =>
      corners(
        y1 + (p! + (i! + 0.5) / samples[0]) * bins[0],
        x1 + (q! + (j! + 0.5) / samples[1]) * bins[1],
        height,
        width,
      )
    );
    const plane = ops.squeeze(ops.slice(planes, 0, image, image + 1), 0);
    const values = ops.take(plane, ops.tensor(Int32Array.from(taken, ([place]) => place), [taken.length]), 1);
    const weighted = ops.multiply(values, ops.tensor(Float32Array.from(taken, ([, w]) => w), [taken.length]));
    const inBins = ops.reshape(weighted, [channels, rows, columns, 4 * samples[0] * samples[1]]);
    if (call.string("mode", "avg") === "max") return ops.max(inBins, { axes: [3] });
    return ops.divide(ops.sum(inBins, { axes: [3] }), samples[0] * samples[1]);
  });
  return boxes.length ? Value.from(call.type, ops.stack(boxes)) : Value.of(call.type, [0, channels, rows, columns], []);
};

/** Overlaps of all pairs of boxes, the common area over that of both: [batch, boxes, boxes]. */
function overlaps(call: Call): Tensor {
  const boxes = call.x(0), part = (i: number): Tensor => ops.slice(boxes, 2, i, i + 1);
  const [a, b, c, d] = [part(0), part(1), part(2), part(3)], center = call.flag("center_point_box");
  const half = (t: Tensor): Tensor => ops.multiply(t, 0.5);
  const [y1, x1, y2, x2] = center
    ? [ops.subtract(b, half(d)), ops.subtract(a, half(c)), ops.add(b, half(d)), ops.add(a, half(c))] as const
    : [ops.minimum(a, c), ops.minimum(b, d), ops.maximum(a, c), ops.maximum(b, d)] as const;
  const other = (t: Tensor): Tensor => ops.swapAxes(t, 1, 2);
  const common = (low: Tensor, high: Tensor): Tensor =>
    ops.maximum(ops.subtract(ops.minimum(high, other(high)), ops.maximum(low, other(low))), 0);
  const shared = ops.multiply(common(y1, y2), common(x1, x2)),
    area = ops.multiply(ops.subtract(y2, y1), ops.subtract(x2, x1));
  return ops.divide(shared, ops.subtract(ops.add(area, other(area)), shared));
}

/** Overlaps are computed by our ops; the host goes through the boxes in the order of their scores. */
const nonMaxSuppression: Operator = async (call) => {
  const scores = (await call.numbers(1))!, [batch, classes, count] = call.value(1).shape as [number, number, number];
  const [[most = 0], [limit = 0], [least = -Infinity]] = [
    await call.numbers(2) ?? [],
    await call.numbers(3) ?? [],
    await call.numbers(4) ?? [],
  ];
  const shared = await ops.toHost(overlaps(call)), chosen: number[] = [];
  for (let row = 0; row < batch * classes; row++) {
    const own = scores.slice(row * count, (row + 1) * count), b = Math.floor(row / classes), kept: number[] = [];
    const order = own.map((_, i) => i).filter((i) => own[i]! > least).sort((i, j) => own[j]! - own[i]!);
    for (const i of order) {
      if (kept.length >= most) break;
      if (kept.every((k) => !(shared[(b * count + i) * count + k]! > limit))) kept.push(i);
    }
    chosen.push(...kept.flatMap((i) => [b, row % classes, i]));
  }
  return Value.of("int64", [chosen.length / 3, 3], chosen);
};

/** The table. */
export const sampling: Operators = {
  GridSample: gridSample,
  AffineGrid: affineGrid,
  RoiAlign: roiAlign,
  NonMaxSuppression: nonMaxSuppression,
};
