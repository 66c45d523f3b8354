/** Convolutions of any number of axes: one and two by our kernels, more by elements under a window and a product. */
import * as ops from "../../../mod.ts";
import type { Call, Operator, Operators } from "../call.ts";
import { sizeOf } from "../types.ts";
import { Value } from "../value.ts";
import { indices, perChannel, placesOf, takeFlat } from "./shared.ts";
import { padsOf, pair, placesUnder, type Window, windowOf } from "./windows.ts";

type Tensor = ops.Tensor;

/** x [batch, inputs, ...] convolved with weight [outputs, inputs / groups, ...]. */
export function convolution(x: Tensor, weight: Tensor, w: Window, groups: number): Tensor {
  const [batch, inputs] = x.shape as [number, number],
    outputs = weight.shape[0]!,
    positive = w.pads.flat().every((p) => p >= 0);
  if (w.from.length <= 2 && positive) {
    const as2d = (t: Tensor): Tensor => t.shape.length === 3 ? ops.expandDims(t, 2) : t;
    const y = ops.conv2d(as2d(x), as2d(weight), {
      stride: pair(w.strides),
      dilation: pair(w.dilations),
      padding: w.from.length === 2 ? [w.pads[0]!, w.pads[1]!] : [[0, 0], w.pads[0]!],
      groups,
    });
    return ops.reshape(y, [batch, outputs, ...w.to]);
  }
  const positions = sizeOf(w.to), area = sizeOf(w.kernel), each = inputs / groups;
  const under = takeFlat(x, w.from.length, placesUnder(w), [positions, area]); // [batch, inputs, positions, area]
  const rows = ops.transpose(ops.reshape(under, [batch, groups, each, positions, area]), [0, 1, 2, 4, 3]);
  const kernel = ops.reshape(weight, [1, groups, outputs / groups, each * area]);
  const y = ops.matmul(kernel, ops.reshape(rows, [batch, groups, each * area, positions]));
  return ops.reshape(y, [batch, outputs, ...w.to]);
}

const conv: Operator = (call) => {
  const x = call.x(0), weight = call.x(1), bias = call.maybe(2);
  const w = windowOf(call, x.shape.slice(2), weight.shape.slice(2));
  const y = convolution(x, weight, w, call.int("group", 1));
  return Value.from(call.type, bias ? ops.add(y, perChannel(bias, y.shape.length)) : y);
};

/** Columns [..., positions * elements of the kernel] added up at their places in axes of lengths `to`: [..., ...to]. */
export function columnsToImage(columns: Tensor, places: readonly number[], to: readonly number[]): Tensor {
  const outer = columns.shape.slice(0, -1),
    flat = ops.scatterAdd(columns, indices(places), sizeOf(to), { axis: outer.length });
  return ops.reshape(flat, [...outer, ...to]);
}

/** Padding of a transposed convolution, from its attributes or so that the result has the shape asked for. */
function transposedPads(
  call: Call,
  whole: readonly number[],
  strides: readonly number[],
  from: readonly number[],
): [number, number][] {
  const auto = call.string("auto_pad", "NOTSET"), same = auto.startsWith("SAME");
  const wanted = call.ints("output_shape")?.slice(-from.length) ??
    (same ? from.map((n, i) => n * strides[i]!) : undefined);
  if (!wanted) return padsOf(auto === "VALID" ? undefined : call.ints("pads"), from.length);
  return whole.map((n, i) => {
    const total = n - wanted[i]!, half = Math.floor(total / 2);
    return auto === "SAME_UPPER" ? [half, total - half] : [total - half, half];
  });
}

const convTranspose: Operator = (call) => {
  const x = call.x(0), weight = call.x(1), bias = call.maybe(2), groups = call.int("group", 1);
  const from = x.shape.slice(2), kernel = weight.shape.slice(2), rank = from.length, ones = Array<number>(rank).fill(1);
  const strides = call.ints("strides") ?? ones, dilations = call.ints("dilations") ?? ones;
  const extra = call.ints("output_padding") ?? ones.map(() => 0);
  const full = from.map((n, i) => (n - 1) * strides[i]! + dilations[i]! * (kernel[i]! - 1) + 1);
  const whole = full.map((n, i) => n + extra[i]!), pads = transposedPads(call, whole, strides, from);
  const y = rank <= 2
    ? ops.reshape(
      ops.convTranspose2d(...as2d(x, weight), { stride: pair(strides), dilation: pair(dilations), groups }),
      [x.shape[0]!, weight.shape[1]! * groups, ...full],
    )
    : transposed(x, weight, {
      from: full,
      to: from,
      kernel,
      strides,
      dilations,
      pads: padsOf(undefined, rank),
      ceil: false,
    }, groups);
  // The result reaches from pads[0] on to the whole length less pads[1]: cut, or filled with 0.
  const cut = pads.reduce((t, [a, b], i) => {
    const end = whole[i]! - b, start = Math.max(0, a);
    const part = ops.slice(t, i + 2, start, Math.min(full[i]!, end));
    return ops.pad(
      part,
      part.shape.map((_, k) => k === i + 2 ? [Math.max(0, -a), Math.max(0, end - full[i]!)] as const : 0),
    );
  }, y);
  return Value.from(call.type, bias ? ops.add(cut, perChannel(bias, cut.shape.length)) : cut);
};

const as2d = (x: Tensor, weight: Tensor): [Tensor, Tensor] =>
  x.shape.length === 3 ? [ops.expandDims(x, 2), ops.expandDims(weight, 2)] : [x, weight];

/** Every element puts down the kernel, times itself, at the places of its window. */
function transposed(x: Tensor, weight: Tensor, w: Window, groups: number): Tensor {
  const [batch, inputs] = x.shape as [number, number], each = inputs / groups, outputs = weight.shape[1]!;
  const positions = sizeOf(w.to), area = sizeOf(w.kernel);
  const kernel = ops.reshape(weight, [1, groups, each, outputs * area]);
  const put = ops.matmul(ops.reshape(x, [batch, groups, each, positions]), kernel, { transposeA: true });
  const rows = ops.transpose(ops.reshape(put, [batch, groups, positions, outputs, area]), [0, 1, 3, 2, 4]);
  return columnsToImage(ops.reshape(rows, [batch, groups * outputs, positions * area]), placesUnder(w), w.from);
}

/** Blocks, in columns, added up to an image. */
const col2im: Operator = async (call) => {
  const x = call.x(0), from = (await call.numbers(1))!, kernel = (await call.numbers(2))!;
  const area = sizeOf(kernel), [batch, rows, positions] = x.shape as [number, number, number];
  const w = windowOf(call, from, kernel), columns = ops.reshape(x, [batch, rows / area, area, positions]);
  const byPosition = ops.reshape(ops.transpose(columns, [0, 1, 3, 2]), [batch, rows / area, positions * area]);
  return Value.from(call.type, columnsToImage(byPosition, placesUnder(w), from));
};

/**
 * Convolution whose elements are taken from places that are moved by offsets, linearly between pixels (Dai et al. 2017), and
 * multiplied by a mask (Zhu et al. 2019).
 */
const deformConv: Operator = (call) => {
  const x = call.x(0), weight = call.x(1), bias = call.maybe(3), mask = call.maybe(4);
  const kernel = call.ints("kernel_shape") ?? weight.shape.slice(2),
    from = x.shape.slice(2),
    w = windowOf(call, from, kernel);
  const [batch, inputs, height, width] = x.shape as [number, number, number, number],
    area = sizeOf(kernel),
    positions = sizeOf(w.to);
  const parts = call.int("offset_group", 1), groups = call.int("group", 1), outputs = weight.shape[0]!;
  const grid = (axis: number): Tensor =>
    ops.tensor(
      Float32Array.from(
        placesOf(kernel).flatMap((k) =>
          placesOf(w.to).map((p) => p[axis]! * w.strides[axis]! + k[axis]! * w.dilations[axis]! - w.pads[axis]![0])
        ),
      ),
      [1, 1, area, positions],
    );
  const offsets = ops.reshape(call.x(2), [batch, parts, area, 2, positions]);
  const at = [0, 1].map((axis) => ops.add(ops.squeeze(ops.slice(offsets, 3, axis, axis + 1), 3), grid(axis))) as [
    Tensor,
    Tensor,
  ];
  const planes = ops.reshape(x, [batch * parts, inputs / parts, height * width]);
  const flat = at.map((t) => ops.reshape(t, [batch * parts, 1, area * positions])) as [Tensor, Tensor];
  const [row, column] = flat.map((t) => ops.floor(t)) as [Tensor, Tensor];
  const corners = [0, 1].flatMap((dy) =>
    [0, 1].map((dx) => {
      const r = ops.add(row, dy), c = ops.add(column, dx);
      const share = ops.multiply(
        ops.subtract(1, ops.abs(ops.subtract(flat[0], r))),
        ops.subtract(1, ops.abs(ops.subtract(flat[1], c))),
      );
      const inside = ops.multiply(
        ops.multiply(ops.greaterEqual(r, 0), ops.less(r, height)),
        ops.multiply(ops.greaterEqual(c, 0), ops.less(c, width)),
      );
      const place = ops.cast(ops.where(inside, ops.add(ops.multiply(r, width), c), 0), "i32");
      return ops.multiply(ops.takeAlongAxis(planes, place, 2), ops.multiply(share, inside));
    })
  );
  const under = ops.reshape(corners.reduce(ops.add), [batch, parts, inputs / parts, area, positions]);
  const masked = mask ? ops.multiply(under, ops.reshape(mask, [batch, parts, 1, area, positions])) : under;
  const rows = ops.reshape(masked, [batch, groups, inputs / groups * area, positions]);
  const y = ops.matmul(ops.reshape(weight, [1, groups, outputs / groups, inputs / groups * area]), rows);
  const image = ops.reshape(y, [batch, outputs, ...w.to]);
  return Value.from(call.type, bias ? ops.add(image, perChannel(bias, 4)) : image);
};

/** The table. */
export const convolutions: Operators = {
  Conv: conv,
  ConvTranspose: convTranspose,
  Col2Im: col2im,
  DeformConv: deformConv,
};
