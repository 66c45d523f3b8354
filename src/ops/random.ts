/**
 * Random numbers on the GPU: a value is a function of (key, stream, position), so a mask is computed again where it is needed
 * and a run is a function of its seed. The algorithm is that of src/random/philox.ts.
 *
 * The same key gives the same numbers, inside and outside of `compile`, in whatever order things run: draw with a key once, and
 * take keys of their own for further draws from {@linkcode splitKey} or {@linkcode foldIn}. A key of numbers that a compiled
 * function closes over is part of its program; pass the words as an argument for new numbers with every call.
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import { apply, type Op, Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { foldStream } from "../random/keys.ts";
import { checkInput, checkInteger } from "./_check.ts";
import { add, cast, greaterEqual, log, minimum, multiply, negate, type Operand, subtract } from "./elementwise.ts";

/** Where random numbers come from: two key words on the GPU (they change every step) and a stream number (fixed in the program). */
export interface Key {
  /** u32 [2]. */
  readonly words: Tensor;
  /** Second word of the counter. */
  readonly stream: number;
}

/** What draws of one kind differ in. */
interface Attrs {
  readonly shape: readonly number[];
  readonly stream: number;
}

/** An op that draws: `text` is an expression of the position and of uniforms, of which `#0` is the stream. */
function drawing<A extends Attrs>(
  name: string,
  dtype: "f32" | "u32",
  text: string,
  uniforms: (attrs: A) => number[] = () => [],
): Op<A> {
  return {
    name,
    infer: ([key], { shape }) => {
      checkInput(name, "the key", key, "u32", [2]);
      return [{ shape, dtype }];
    },
    vjp: () => [null],
    expression: (attrs) => ({ text, uniforms: [attrs.stream, ...uniforms(attrs)], arrays: [0], indexed: true }),
    recompute: true,
  };
}

const KEY = "vec2<u32>($0[0u], $0[1u])";
const uniformOp = drawing("uniform", "f32", `random_uniform(@, #0, ${KEY})`);
const bitsOp = drawing("randomBits", "u32", `random_bits(@, #0, ${KEY})`);
const belowOp = drawing(
  "randint",
  "u32",
  `random_below(@, #0, #1, ${KEY})`,
  ({ range }: Attrs & { readonly range: number }) => [range],
);

/** The words of a key that belongs to a number known only on the GPU. */
const foldOp: Op<{ readonly stream: number }> = {
  name: "foldIn",
  infer: ([key, data]) => {
    checkInput("foldIn", "the key", key, "u32", [2]);
    checkInput("foldIn", "the data", data, "u32", []);
    return [{ shape: [2], dtype: "u32" }];
  },
  vjp: () => [null, null],
  expression: ({ stream }) => ({
    text: `random_key(@, #0, $1[0u], ${KEY})`,
    uniforms: [stream],
    arrays: [0, 1],
    indexed: true,
  }),
  recompute: true,
};

/**
 * A key from its two words, u32 [2], or from a seed.
 *
 * @param seed The words, or a whole number from 0 to 2^53 - 1, whose low and high 32 bits are the words.
 * @throws {RangeError} If the number is none of these.
 */
export function randomKey(seed: Tensor | number): Key {
  if (seed instanceof Tensor) return { words: seed, stream: 0 };
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`Cannot make a key: the seed must be a whole number from 0 to 2^53 - 1: it is ${seed}`);
  }
  return { words: tensor(Uint32Array.of(seed % 2 ** 32, Math.floor(seed / 2 ** 32))), stream: 0 };
}

/**
 * An independent key: each place that draws numbers folds in a number of its own. A number folds into the program; a scalar
 * tensor (i32 or u32: a step, the turn of a loop) into the words, at run time. These are different keys.
 *
 * @throws {RangeError} Unless a number is whole and from 0 to 2^32 - 2.
 */
export function foldIn(key: Key, data: number | Tensor): Key {
  if (typeof data === "number") return { words: key.words, stream: foldStream(key.stream, data) };
  checkInput("foldIn", "the data", data, ["i32", "u32"], []);
  return { words: apply(foldOp, [key.words, cast(data, "u32")], { stream: key.stream }), stream: 0 };
}

/** `count` independent keys, the i-th of which is `foldIn(key, i)`. `key` itself must not be used besides. */
export function splitKey(key: Key, count: number = 2): Key[] {
  checkInteger("splitKey", "count", count, 1);
  return Array.from({ length: count }, (_, i) => foldIn(key, i));
}

/** 32 random bits in each element, u32. */
export function randomBits(key: Key, shape: readonly number[]): Tensor {
  return apply(bitsOp, [key.words], { shape, stream: key.stream });
}

/** Bounds of {@linkcode uniform}, numbers or tensors that broadcast to the shape. */
export interface UniformOptions {
  /** The least number. Default 0. */
  readonly low?: Operand;
  /** What all numbers are below. Default 1. */
  readonly high?: Operand;
}

/**
 * Uniform numbers in [low, high), by default [0, 1): f32 with 24 random bits. Where a bound is a tensor, rounding may give `high`
 * itself, and a gradient flows to the bounds.
 *
 * @throws {RangeError} Unless numbers are finite and low < high.
 */
export function uniform(key: Key, shape: readonly number[], options: UniformOptions = {}): Tensor {
  const { low = 0, high = 1 } = checkOptions("uniform", options, { low: "one", high: "one" });
  const unit = apply(uniformOp, [key.words], { shape, stream: key.stream });
  if (low === 0 && high === 1) return unit;
  const numbers = typeof low === "number" && typeof high === "number";
  if (numbers && !(Math.fround(low) < Math.fround(high) && Number.isFinite(Math.fround(high - low)))) {
    throw new RangeError(
      `Cannot apply uniform: low must be below high, both finite in f32: they are ${low} and ${high}`,
    );
  }
  const range = numbers ? high - low : subtract(high, low);
  const drawn = add(low, multiply(unit, range));
  return numbers ? minimum(drawn, below(high)) : drawn;
}

/** The largest f32 below x. */
function below(x: number): number {
  const float = Float32Array.of(x), bits = new Int32Array(float.buffer);
  if (float[0] === 0) return -(2 ** -126); // not subnormal, which adapters may take for 0
  bits[0]! += float[0]! > 0 ? -1 : 1;
  return float[0]!;
}

/**
 * Whole numbers from `low` to `high` - 1, each equally likely (to (high - low) / 2^64).
 *
 * @param dtype i32 or u32. Default i32.
 * @throws {RangeError} Unless the bounds are whole numbers of the type, low < high.
 */
export function randint(
  key: Key,
  shape: readonly number[],
  low: number,
  high: number,
  dtype: "i32" | "u32" = "i32",
): Tensor {
  const [least, most] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  if (
    ![low, high].every(Number.isInteger) || !(low >= least! && low < high && high - 1 <= most!) || high - low >= 2 ** 32
  ) {
    throw new RangeError(
      `Cannot apply randint: bounds must be whole numbers of type ${dtype}, the first below the second, less than 2^32 apart: ` +
        `they are ${low} and ${high}`,
    );
  }
  const drawn = apply(belowOp, [key.words], { shape, stream: key.stream, range: high - low });
  return low === 0 ? cast(drawn, dtype) : add(cast(drawn, dtype), low);
}

/** Gumbel noise: the arg-max of logits plus this is a draw by their softmax. Finite, f32. */
export function gumbel(key: Key, shape: readonly number[]): Tensor {
  const inside = add(multiply(uniform(key, shape), 1 - 2 ** -23), 2 ** -25); // in (0, 1)
  return negate(log(negate(log(inside))));
}

/** Each element kept with probability 1 - p and scaled by 1 / (1 - p), else 0. The mask is never stored. */
export function dropout(x: Tensor, probability: number, key: Key | undefined): Tensor {
  if (!(probability >= 0 && probability < 1)) {
    throw new RangeError(`Cannot apply dropout: the probability must be in [0, 1): it is ${probability}`);
  }
  if (!key || probability === 0) return x;
  const keep = greaterEqual(uniform(key, x.shape), probability);
  return multiply(x, multiply(keep, 1 / (1 - probability)));
}
