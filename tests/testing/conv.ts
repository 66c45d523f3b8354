/** Convolutions and their gradients as plain float64 sums. */
import type { Values } from "./check_op.ts";

/** A number for the lines and one for the columns. */
export type Pair = readonly [number, number];

/** A convolution with all that is optional given. */
export interface Plain {
  readonly stride: Pair;
  readonly padding: readonly [Pair, Pair];
  readonly dilation: Pair;
  readonly groups: number;
}

/** Calls `term` with the elements of x [n, c, h, w], weight [o, c / groups, kh, kw] and the result that meet. */
function eachProduct(
  { stride, padding, dilation, groups }: Plain,
  [n, c, h, w]: readonly number[],
  [o, perGroup, kh, kw]: readonly number[],
  term: (x: number, weight: number, y: number) => void,
): number[] {
  const lines = Math.floor((h! + padding[0][0] + padding[0][1] - dilation[0] * (kh! - 1) - 1) / stride[0]) + 1;
  const columns = Math.floor((w! + padding[1][0] + padding[1][1] - dilation[1] * (kw! - 1) - 1) / stride[1]) + 1;
  const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
  for (const b of range(n!)) {
    for (const f of range(o!)) {
      for (const p of range(lines)) {
        for (const q of range(columns)) {
          for (const k of range(perGroup!)) {
            for (const r of range(kh!)) {
              for (const s of range(kw!)) {
                const y = p * stride[0] + r * dilation[0] - padding[0][0];
                const x = q * stride[1] + s * dilation[1] - padding[1][0];
                if (y < 0 || y >= h! || x < 0 || x >= w!) continue;
                const channel = Math.floor(f / (o! / groups)) * perGroup! + k;
                term(
                  ((b * c! + channel) * h! + y) * w! + x,
                  ((f * perGroup! + k) * kh! + r) * kw! + s,
                  ((b * o! + f) * lines + p) * columns + q,
                );
              }
            }
          }
        }
      }
    }
  }
  return [n!, o!, lines, columns];
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The convolution of x with w. */
export function reference(x: Values, w: Values, plain: Plain): Values {
  const data: number[] = [];
  const shape = eachProduct(plain, x.shape, w.shape, (i, j, k) => data[k] = (data[k] ?? 0) + x.data[i]! * w.data[j]!);
  return { data: Float64Array.from({ length: size(shape) }, (_, i) => data[i] ?? 0), shape };
}

/** The gradient by the input, of `shape`, given that of the result. */
export function inputGradient(g: Values, w: Values, shape: readonly number[], plain: Plain): Float64Array {
  const data = new Float64Array(size(shape));
  eachProduct(plain, shape, w.shape, (i, j, k) => data[i]! += g.data[k]! * w.data[j]!);
  return data;
}

/** The gradient by the weight, of `shape`, given that of the result. */
export function weightGradient(x: Values, g: Values, shape: readonly number[], plain: Plain): Float64Array {
  const data = new Float64Array(size(shape));
  eachProduct(plain, x.shape, shape, (i, j, k) => data[j]! += g.data[k]! * x.data[i]!);
  return data;
}

/** What is not given is as by default. */
export function plainOf(options: Partial<Plain> = {}): Plain {
  return { stride: [1, 1], padding: [[0, 0], [0, 0]], dilation: [1, 1], groups: 1, ...options };
}

/** The transposed convolution by its words: every element of x puts down the weight. */
export function putDown(x: Values, w: Values, shape: readonly number[], plain: Plain): Float64Array {
  const y = new Float64Array(size(shape));
  const [, inputs, height, width] = x.shape, [, perGroup, kh, kw] = w.shape, [, outputs, lines, columns] = shape;
  x.data.forEach((value, i) => {
    const q = i % width!, p = Math.floor(i / width!) % height!, c = Math.floor(i / width! / height!) % inputs!;
    const n = Math.floor(i / width! / height! / inputs!), group = Math.floor(c / (inputs! / plain.groups));
    for (let j = 0; j < perGroup! * kh! * kw!; j++) {
      const s = j % kw!, r = Math.floor(j / kw!) % kh!, o = group * perGroup! + Math.floor(j / kw! / kh!);
      const line = p * plain.stride[0] + r * plain.dilation[0] - plain.padding[0][0];
      const column = q * plain.stride[1] + s * plain.dilation[1] - plain.padding[1][0];
      if (line < 0 || line >= lines! || column < 0 || column >= columns!) continue;
      y[((n * outputs! + o) * lines! + line) * columns! + column]! += value * w.data[c * perGroup! * kh! * kw! + j]!;
    }
  });
  return y;
}
