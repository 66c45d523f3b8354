/**
 * How weights start, by their shape. The fans of a weight are those of PyTorch: of a matrix [outputs, inputs] its inputs and
 * its outputs; of a convolution [outputs, inputs / groups, ...window] these times the elements of the window.
 *
 *     new Spec([64, 32], kaimingUniform())
 *
 * Constants, normal numbers of a given deviation (truncated or not), uniform ones of a given bound and orthogonal matrices are
 * an {@linkcode Init} themselves: `{ constant: 0 }`, `{ normal: 0.02, truncated: true }`, `{ uniform: 0.1 }`, `{ orthogonal: 1 }`.
 *
 * @module
 */
import { sizeOf } from "../program/graph.ts";
import { checkOptions, type OptionKinds } from "../program/options.ts";

/**
 * How a parameter starts: a constant, a normal of that deviation (cut at 2 deviations if truncated), uniform in [-bound, bound], or
 * orthogonal: of the matrix [shape[0], all else] the rows, or the columns if these are fewer, are at right angles and of that
 * length (Saxe et al. 2014).
 */
export type Init =
  | { readonly constant: number }
  | { readonly normal: number; readonly truncated?: boolean }
  | { readonly uniform: number }
  | { readonly orthogonal: number };

/** How a parameter starts, from its shape. */
export type Initializer = (shape: readonly number[]) => Init;

/** How many numbers make one result of a weight, and of how many results one number is a part. */
export interface Fans {
  /** Inputs times window. */
  readonly in: number;
  /** Outputs times window. */
  readonly out: number;
}

/**
 * The fans of a weight [outputs, inputs, ...window]. Those of a transposed convolution, whose weight is [inputs, outputs, ...window],
 * are counted the same way, as in PyTorch.
 *
 * @throws {RangeError} If the shape has fewer than 2 axes.
 */
export function fans(shape: readonly number[]): Fans {
  if (shape.length < 2) {
    throw new RangeError(`Cannot count the fans of a parameter: it must have at least 2 axes: its shape is [${shape}]`);
  }
  const window = sizeOf(shape.slice(2));
  return { in: shape[1]! * window, out: shape[0]! * window };
}

/** Options of the uniform initialisers. */
export interface GainOptions {
  /** What the deviation is multiplied by: Math.sqrt(2) before a relu, 5 / 3 before a tanh. Default 1. */
  readonly gain?: number;
}

/** Options of the normal initialisers. */
export interface NormalInitOptions extends GainOptions {
  /** Cut at 2 deviations, and widened so that the deviation stays, as JAX does. Default false, as in PyTorch. */
  readonly truncated?: boolean;
}

/** The deviation of the standard normal distribution cut at 2. */
const TRUNCATED_DEVIATION = 0.87962566103423978;

function normalOf(deviation: number, truncated: boolean): Init {
  return truncated ? { normal: deviation / TRUNCATED_DEVIATION, truncated } : { normal: deviation };
}

/** The uniform distribution of a deviation. */
function uniformOf(deviation: number): Init {
  return { uniform: Math.sqrt(3) * deviation };
}

const GAIN_OPTIONS: OptionKinds<GainOptions> = { gain: "one" };
const NORMAL_OPTIONS: OptionKinds<NormalInitOptions> = { ...GAIN_OPTIONS, truncated: "one" };

const xavier = (shape: readonly number[], gain: number): number => {
  const { in: inputs, out } = fans(shape);
  return gain * Math.sqrt(2 / (inputs + out));
};

/** Glorot and Bengio (2010): uniform with deviation gain * sqrt(2 / (in + out)), for layers with tanh or without activation. */
export function xavierUniform(options: GainOptions = {}): Initializer {
  const { gain = 1 } = checkOptions("xavierUniform", options, GAIN_OPTIONS);
  return (shape) => uniformOf(xavier(shape, gain));
}

/** Glorot and Bengio (2010): normal with deviation gain * sqrt(2 / (in + out)). */
export function xavierNormal(options: NormalInitOptions = {}): Initializer {
  const { gain = 1, truncated = false } = checkOptions("xavierNormal", options, NORMAL_OPTIONS);
  return (shape) => normalOf(xavier(shape, gain), truncated);
}

/** Options of {@linkcode kaimingUniform}. */
export interface KaimingOptions {
  /** Whether results or gradients keep their size. Default "in": results. */
  readonly fan?: "in" | "out";
  /** Slope of the activation's negative side: 0 for relu, that of a leaky relu. Default 0. */
  readonly slope?: number;
}

const KAIMING_OPTIONS: OptionKinds<KaimingOptions> = { fan: "one", slope: "one" };

const kaiming = (shape: readonly number[], { fan = "in", slope = 0 }: KaimingOptions): number =>
  Math.sqrt(2 / (1 + slope * slope) / fans(shape)[fan]);

/** He et al. (2015): uniform with deviation sqrt(2 / (1 + slope^2) / fan), for layers before a relu. */
export function kaimingUniform(options: KaimingOptions = {}): Initializer {
  checkOptions("kaimingUniform", options, KAIMING_OPTIONS);
  return (shape) => uniformOf(kaiming(shape, options));
}

/** He et al. (2015): normal with deviation sqrt(2 / (1 + slope^2) / fan). */
export function kaimingNormal(options: KaimingOptions & Pick<NormalInitOptions, "truncated"> = {}): Initializer {
  const { truncated = false } = checkOptions("kaimingNormal", options, { ...KAIMING_OPTIONS, truncated: "one" });
  return (shape) => normalOf(kaiming(shape, options), truncated);
}

/** LeCun et al. (1998): uniform with deviation gain * sqrt(1 / in), for layers with selu or without activation. */
export function lecunUniform(options: GainOptions = {}): Initializer {
  const { gain = 1 } = checkOptions("lecunUniform", options, GAIN_OPTIONS);
  return (shape) => uniformOf(gain / Math.sqrt(fans(shape).in));
}

/** LeCun et al. (1998): normal with deviation gain * sqrt(1 / in). */
export function lecunNormal(options: NormalInitOptions = {}): Initializer {
  const { gain = 1, truncated = false } = checkOptions("lecunNormal", options, NORMAL_OPTIONS);
  return (shape) => normalOf(gain / Math.sqrt(fans(shape).in), truncated);
}

/**
 * Rows of a matrix made orthonormal one after the other, in place and in float64: Gram and Schmidt's method, each row twice, which
 * is enough for all digits. Of normal numbers this is the Q of a QR decomposition whose R has a positive diagonal: uniform
 * among all orthogonal matrices.
 *
 * @param matrix [rows, columns], rows <= columns.
 */
export function orthonormalRows(matrix: Float64Array, rows: number, columns: number): void {
  const row = (i: number): Float64Array => matrix.subarray(i * columns, (i + 1) * columns);
  for (let i = 0; i < rows; i++) {
    const own = row(i);
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < i; k++) {
        const other = row(k), share = own.reduce((all, v, c) => all + v * other[c]!, 0);
        for (let c = 0; c < columns; c++) own[c]! -= share * other[c]!;
      }
      const length = Math.sqrt(own.reduce((all, v) => all + v * v, 0));
      for (let c = 0; c < columns; c++) own[c]! /= length;
    }
  }
}
