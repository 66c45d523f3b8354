/**
 * Random numbers on the GPU: a value is a function of (key, stream, position), so a mask is computed again where it is needed
 * and a run is a function of its seed. The algorithm is that of src/random/philox.ts.
 *
 * @module
 */
import { apply, type Op, type Tensor } from "../program/graph.ts";
import { foldStream } from "../random/keys.ts";
import { checkInput } from "./_check.ts";
import { add, greaterEqual, log, multiply, negate } from "./elementwise.ts";

/** Where random numbers come from: two key words on the GPU (they change every step) and a stream number (fixed in the program). */
export interface Key {
  /** u32 [2]. */
  readonly words: Tensor;
  /** Second word of the counter. */
  readonly stream: number;
}

interface Attrs {
  readonly shape: readonly number[];
  readonly stream: number;
}

const uniformOp: Op<Attrs> = {
  name: "random",
  infer: ([key], { shape }) => {
    checkInput("uniform", "the key", key, "u32", [2]);
    return [{ shape, dtype: "f32" }];
  },
  vjp: () => [null],
  expression: (attrs) => ({
    text: "random_uniform(@, #0, vec2<u32>($0[0u], $0[1u]))",
    uniforms: [attrs.stream],
    arrays: [0],
    indexed: true,
  }),
  recompute: true,
};

/** A key from its two words. */
export function randomKey(words: Tensor): Key {
  return { words, stream: 0 };
}

/** An independent key: each place that draws numbers folds in a number of its own. */
export function foldIn(key: Key, data: number): Key {
  return { words: key.words, stream: foldStream(key.stream, data) };
}

/** Uniform numbers in [0, 1), f32 with 24 random bits. */
export function uniform(key: Key, shape: readonly number[]): Tensor {
  return apply(uniformOp, [key.words], { shape, stream: key.stream });
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
