/** Fourier transforms as products with matrices of sines and cosines, and windows of signals. */
import * as ops from "../../../mod.ts";
import { axisOf, type Operator, type Operators } from "../call.ts";
import { typeOf } from "../decode.ts";
import { isFloat } from "../types.ts";
import { Value } from "../value.ts";
import { indices } from "./shared.ts";

type Tensor = ops.Tensor;

/** cos and sin of 2 pi jk / n at [j, k], from the n angles alone, so that what is opposite cancels. */
function waves(n: number, rows: number, columns: number): [Tensor, Tensor] {
  return [Math.cos, Math.sin].map((f) => {
    const own = Array.from({ length: n }, (_, i) => exact(f(2 * Math.PI * i / n)));
    const numbers = Array.from(
      { length: rows * columns },
      (_, i) => own[(Math.floor(i / columns) * (i % columns)) % n]!,
    );
    return ops.tensor(Float32Array.from(numbers), [rows, columns]);
  }) as [Tensor, Tensor];
}

const exact = (x: number): number => Math.abs(x) < 1e-15 ? 0 : x;

/** How a transform is taken. */
interface Transform {
  readonly length: number;
  readonly inverse: boolean;
  /** Only the first half of a spectrum: of the result, or, inverse, of the input, whose result is real. */
  readonly oneSided: boolean;
}

/** Along axis 1 of x [outer, n, inner, 1 or 2 parts], cut or filled with 0 to the length. */
function transformed(x: Tensor, { length, inverse, oneSided }: Transform): Tensor {
  const parts = [0, 1].map((i) =>
    i < x.shape[3]!
      ? fitted(ops.squeeze(ops.slice(x, 3, i, i + 1), 3), oneSided && inverse ? half(length) : length)
      : undefined
  );
  let [re, im] = parts as [Tensor, Tensor | undefined];
  if (oneSided && inverse && im) [re, im] = wholeSpectrum(re, im, length);
  const [cos, sin] = waves(length, oneSided && !inverse ? half(length) : length, length),
    times = (w: Tensor, t: Tensor): Tensor => ops.matmul(w, t);
  const sign = inverse ? 1 : -1, scale = inverse ? 1 / length : 1;
  const real = im ? ops.subtract(times(cos, re), ops.multiply(times(sin, im), sign)) : times(cos, re);
  if (oneSided && inverse) return ops.expandDims(ops.multiply(real, scale), 3);
  const turned = ops.multiply(times(sin, re), sign), imaginary = im ? ops.add(turned, times(cos, im)) : turned;
  return ops.multiply(ops.stack([real, imaginary], 3), scale);
}

const half = (n: number): number => Math.floor(n / 2) + 1;

/** Axis 1 cut, or filled with 0. */
function fitted(x: Tensor, length: number): Tensor {
  const n = x.shape[1]!;
  return n >= length ? ops.slice(x, 1, 0, length) : ops.pad(x, [0, [0, length - n], 0]);
}

/** The other half is the mirror image of the first, conjugated. */
function wholeSpectrum(re: Tensor, im: Tensor, length: number): [Tensor, Tensor] {
  const given = half(length), at = indices(Array.from({ length }, (_, i) => i < given ? i : length - i));
  const sign = ops.tensor(Float32Array.from({ length }, (_, i) => i < given ? 1 : -1), [1, length, 1]);
  return [ops.take(re, at, 1), ops.multiply(ops.take(im, at, 1), sign)];
}

/** The axis is an attribute before version 20, an input from then on; the last axis holds real and imaginary parts. */
const dft: Operator = async (call) => {
  const x = call.x(0), rank = x.shape.length, [given] = await call.numbers(1) ?? [];
  const axis = axisOf(call.opset < 20 ? call.int("axis", 1) : (await call.numbers(2))?.[0] ?? -2, rank);
  const inverse = call.flag("inverse"), oneSided = call.flag("onesided"), own = x.shape[axis]!;
  const length = given ?? (inverse && oneSided ? 2 * (own - 1) : own);
  const outer = x.shape.slice(0, axis),
    inner = x.shape.slice(axis + 1, -1),
    size = (s: readonly number[]): number => s.reduce((a, b) => a * b, 1);
  const y = transformed(ops.reshape(x, [size(outer), own, size(inner), x.shape.at(-1)!]), {
    length,
    inverse,
    oneSided,
  });
  return Value.from(call.type, ops.reshape(y, [...outer, y.shape[1]!, ...inner, y.shape[3]!]));
};

/** Transforms of frames [batch, frames, frequencies, 2]. */
const stft: Operator = async (call) => {
  const x = call.x(0), [step] = (await call.numbers(1))!, window = call.maybe(2), [frame] = await call.numbers(3) ?? [];
  const length = frame ?? window!.size, [batch, samples] = x.shape as [number, number], parts = x.shape[2] ?? 1;
  const frames = Math.floor((samples - length) / step!) + 1;
  const at = Array.from({ length: frames * length }, (_, i) => Math.floor(i / length) * step! + i % length);
  const cut = ops.take(ops.reshape(x, [batch, samples, parts]), indices(at, [frames, length]), 1);
  const own = window ? ops.multiply(cut, ops.reshape(window, [1, 1, length, 1])) : cut;
  const oneSided = call.flag("onesided", true);
  const y = transformed(ops.reshape(own, [batch * frames, length, 1, parts]), { length, inverse: false, oneSided });
  return Value.from(call.type, ops.reshape(y, [batch, frames, y.shape[1]!, 2]));
};

/** a0 - a1 cos(x) + a2 cos(2 x) over a turn, whose end is the last element or, periodic, the one behind it. */
function window(a0: number, a1: number, a2: number): Operator {
  return async (call) => {
    const size = (await call.numbers(0))![0]!, turn = call.flag("periodic", true) ? size : size - 1;
    const angle = ops.multiply(ops.cast(ops.iota([size], 0), "f32"), 2 * Math.PI / turn);
    const first = ops.subtract(a0, ops.multiply(ops.cos(angle), a1));
    const y = a2 ? ops.add(first, ops.multiply(ops.cos(ops.multiply(angle, 2)), a2)) : first;
    const type = typeOf(call.int("output_datatype", 1));
    return Value.from(type, isFloat(type) ? y : ops.cast(y, "i32"));
  };
}

/** Triangles over the frequencies of a spectrum, whose corners are equally far from each other on the mel scale. */
const melWeights: Operator = async (call) => {
  const [bins, length, rate, low, high] = await Promise.all(
    [0, 1, 2, 3, 4].map(async (i) => (await call.numbers(i))![0]!),
  ) as [number, number, number, number, number];
  const mel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700), rows = half(length);
  const step = (mel(high) - mel(low)) / (bins + 2);
  const corners = Array.from(
    { length: bins + 2 },
    (_, i) => Math.floor((length + 1) * 700 * (10 ** ((i * step + mel(low)) / 2595) - 1) / rate),
  );
  const numbers = Array.from({ length: rows * bins }, (_, i) => {
    const j = Math.floor(i / bins),
      [left, middle, right] = corners.slice(i % bins, i % bins + 3) as [number, number, number];
    if (j >= middle && j < right) return (right - j) / (right - middle);
    return j >= left && j <= middle ? middle === left ? 1 : (j - left) / (middle - left) : 0;
  });
  return Value.of(typeOf(call.int("output_datatype", 1)), [rows, bins], numbers);
};

/** The table. */
export const signals: Operators = {
  DFT: dft,
  STFT: stft,
  HannWindow: window(0.5, 0.5, 0),
  HammingWindow: window(25 / 46, 21 / 46, 0),
  BlackmanWindow: window(0.42, 0.5, 0.08),
  MelWeightMatrix: melWeights,
};
