/**
 * Draws from distributions, made of those of random.ts: functions of a key and a shape, the same numbers for the same key.
 *
 * @module
 */
import { foldIn, gumbel, type Key, randint, randomBits, splitKey, uniform } from "./random.ts";
import type { Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { argmax, ARGMAX_OPTIONS, type ArgmaxOptions } from "./argmax.ts";
import { checkAxis, checkInput, checkInteger, FLOATS } from "./_check.ts";
import { add, clamp, less, log, multiply, type Operand, sqrt, subtract } from "./elementwise.ts";
import { gather } from "./gather.ts";
import { erfInv } from "./math.ts";
import { broadcastTo } from "./reduce.ts";
import { slice } from "./shape.ts";
import { argsort } from "./sort.ts";
import { take } from "./take.ts";
import { cos } from "./trigonometry.ts";

/** Options of {@linkcode normal}: numbers, or tensors that broadcast to the shape and to which gradients flow. */
export interface NormalOptions {
  /** Default 0. */
  readonly mean?: Operand;
  /** The standard deviation. Default 1. */
  readonly deviation?: Operand;
}

/**
 * Numbers of the normal distribution, f32 (Box and Muller's transform of two uniform numbers of 24 bits: none is farther than
 * 5.8 deviations from the mean).
 */
export function normal(key: Key, shape: readonly number[], options: NormalOptions = {}): Tensor {
  const { mean = 0, deviation = 1 } = checkOptions("normal", options, { mean: "one", deviation: "one" });
  const [ofRadius, ofAngle] = splitKey(key) as [Key, Key];
  const radius = sqrt(multiply(log(subtract(1, uniform(ofRadius, shape))), -2));
  const drawn = multiply(radius, cos(multiply(uniform(ofAngle, shape), 2 * Math.PI)));
  const scaled = deviation === 1 ? drawn : multiply(drawn, deviation);
  return mean === 0 ? scaled : add(scaled, mean);
}

/**
 * Numbers of the standard normal distribution between two bounds, f32, by its quantile function. Scale and shift them as needed.
 *
 * @param low The least. Default -2.
 * @param high The largest. Default 2.
 * @throws {RangeError} Unless -5 <= low < high <= 5: farther out f32 has no digits for it.
 */
export function truncatedNormal(key: Key, shape: readonly number[], low: number = -2, high: number = 2): Tensor {
  if (!(low >= -5 && low < high && high <= 5)) {
    throw new RangeError(
      `Cannot apply truncatedNormal: bounds must be from -5 to 5, the first below the second: they are ${low} and ${high}`,
    );
  }
  const [from, to] = [erf(low / Math.SQRT2), erf(high / Math.SQRT2)];
  const drawn = add(from, multiply(uniform(key, shape), to - from));
  return clamp(multiply(erfInv(drawn), Math.SQRT2), low, high);
}

/** The error function of a number to 1e-15, by its series. */
function erf(x: number): number {
  let term = x, sum = x;
  for (let n = 1; Math.abs(term) > 1e-17; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * sum;
}

/**
 * 1 with a probability, else 0 (f32).
 *
 * @param probability A number from 0 to 1, or a tensor of such that broadcasts to the shape. Default 0.5.
 * @throws {RangeError} If it is another number.
 */
export function bernoulli(key: Key, shape: readonly number[], probability: Operand = 0.5): Tensor {
  if (typeof probability === "number" && !(probability >= 0 && probability <= 1)) {
    throw new RangeError(`Cannot apply bernoulli: the probability must be from 0 to 1: it is ${probability}`);
  }
  return less(uniform(key, shape), probability);
}

/**
 * Classes drawn by the softmax of logits along an axis (default: the last, which goes), u32: the arg-max of logits plus Gumbel
 * noise. Classes of less than a 10-millionth may never come. For several draws broadcast the logits.
 *
 * @param logits f32 or f16; -Infinity for what must not be drawn.
 */
export function categorical(key: Key, logits: Tensor, options: ArgmaxOptions = {}): Tensor {
  checkInput("categorical", "logits", logits, FLOATS);
  return argmax(add(logits, gumbel(key, logits.shape)), checkOptions("categorical", options, ARGMAX_OPTIONS));
}

/**
 * The numbers 0 to n - 1 in random order, u32 [n]: sorted by random bits, often enough that equal bits do not matter (as in
 * JAX).
 */
export function permutation(key: Key, n: number): Tensor {
  checkInteger("permutation", "n", n, 1);
  const rounds = Math.max(1, Math.ceil(3 * Math.log(n) / Math.log(2 ** 32 - 1)));
  let order = argsort(randomBits(foldIn(key, 0), [n]));
  for (let i = 1; i < rounds; i++) order = gather(order, argsort(randomBits(foldIn(key, i), [n])));
  return order;
}

/** x with its parts along an axis (default: the first) in random order; gradients go to where the parts came from. */
export function shuffle(key: Key, x: Tensor, axis: number = 0): Tensor {
  const at = checkAxis("shuffle", axis, x.shape.length);
  return take(x, permutation(key, x.shape[at]!), at);
}

/** Options of {@linkcode choice}. */
export interface ChoiceOptions {
  /** Whether a number may be drawn again. Default true. */
  readonly replace?: boolean;
  /** How likely each number is, f32 [n], not all 0; they need not sum to 1. Default: all alike. */
  readonly weights?: Tensor;
}

/**
 * `count` of the numbers 0 to n - 1, u32 [count], as indices for `take`. Without replacement they are in the order in which they
 * were drawn, one after the other.
 *
 * @throws {RangeError} If more than n are asked for without replacement.
 */
export function choice(
  key: Key,
  n: number,
  count: number,
  options: ChoiceOptions = {},
): Tensor {
  const { replace = true, weights } = checkOptions("choice", options, { replace: "one", weights: "one" });
  checkInteger("choice", "n", n, 1);
  checkInteger("choice", "count", count, 1);
  if (weights) checkInput("choice", "weights", weights, "f32", [n]);
  if (!replace && count > n) {
    throw new RangeError(`Cannot apply choice: count must be at most ${n} without replacement: it is ${count}`);
  }
  if (replace) {
    return weights ? categorical(key, broadcastTo(log(weights), [count, n])) : randint(key, [count], 0, n, "u32");
  }
  const order = weights
    ? argsort(add(log(weights), gumbel(key, [n])), { descending: true }) // Gumbel's top k
    : permutation(key, n);
  return slice(order, 0, 0, count);
}
