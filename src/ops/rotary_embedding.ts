/**
 * Rotary position embedding: queries and keys turned by angles that grow with their position.
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import { sameShape, Tensor } from "../program/graph.ts";
import { checkOptions, type OptionKinds } from "../program/options.ts";
import { checkInput, FLOATS } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { add, multiply } from "./elementwise.ts";
import { gather } from "./gather.ts";
import { concat, reshape, slice } from "./shape.ts";

/** Options of {@linkcode rotaryEmbedding}. */
export interface RotaryEmbeddingOptions {
  /** Number of heads; each is a slice of neighbouring columns. Default 1. */
  readonly heads?: number;
  /**
   * The position of the first row, the next ones follow (default 0); or u32 or i32 `[T]` or `[..., T]`, the position of each row,
   * which must be less than `length`: the GPU does not check.
   */
  readonly positions?: number | Tensor;
  /** Needed where `positions` is a tensor: how many positions there are. */
  readonly length?: number;
  /** Pair i of a head of W columns turns by position / base^(2i / W). Default 10000. */
  readonly base?: number;
  /**
   * Pair i is columns 2i and 2i + 1 of a head, as in RoFormer and GPT-J; otherwise (default) i and i + W / 2, as in GPT-NeoX and
   * Llama.
   */
  readonly interleaved?: boolean;
}

/** What the columns of a head's rows and those columns swapped are multiplied by: [T or ..., T, 1 head, W]. */
export interface Rotations {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

const ROTARY_OPTIONS: OptionKinds<RotaryEmbeddingOptions> = {
  heads: "one",
  positions: "one",
  length: "one",
  base: "one",
  interleaved: "one",
};

/**
 * Rotary position embedding (Su et al. 2021, RoFormer, eq. 34): every pair of columns (x, y) of a head becomes
 * (x cos a - y sin a, y cos a + x sin a), a = position / base^(2i / W). The scores of queries and keys that are turned so depend on
 * the distance of their positions only. Angles are computed in float64 on the host.
 *
 * @param x f32 or f16 (the result is f32), `[..., T, D]`, D = heads x W, W even, such as q and k of `attention`.
 * @throws {RangeError} if shapes or options do not fit.
 */
export function rotaryEmbedding(x: Tensor, options: RotaryEmbeddingOptions = {}): Tensor {
  const { heads = 1 } = checkOptions("rotaryEmbedding", options, ROTARY_OPTIONS);
  checkInput("rotaryEmbedding", "x", x, FLOATS, ["...", "T", "D"]);
  return rotate(x, rotations(x.shape.slice(0, -1), widthOf(x.shape.at(-1)!, heads), options), options);
}

/**
 * The same by rotations that were made before, once for all that is turned alike: the queries and keys of all layers.
 *
 * @param x f32 or f16, `[..., T, D]`, D = heads x W.
 * @param by Of rows `[..., T]` and a head of W columns.
 */
export function rotate(
  x: Tensor,
  { cos, sin }: Rotations,
  { heads = 1, interleaved = false }: Pick<RotaryEmbeddingOptions, "heads" | "interleaved">,
): Tensor {
  const split = reshape(asF32(x), [...x.shape.slice(0, -1), heads, widthOf(x.shape.at(-1)!, heads)]);
  return reshape(add(multiply(split, cos), multiply(swapped(split, interleaved), sin)), x.shape);
}

/** Columns of a head, an even number. */
function widthOf(depth: number, heads: number): number {
  const width = depth / heads;
  if (!Number.isInteger(heads) || heads < 1 || width % 2 !== 0) {
    refuse(`the ${depth} columns must be heads of an even number of columns: there are ${heads} heads`);
  }
  return width;
}

/** Each column of [..., W] in the place of the other of its pair. */
function swapped(x: Tensor, interleaved: boolean): Tensor {
  const half = x.shape.at(-1)! / 2, outer = x.shape.slice(0, -1), axis = outer.length + (interleaved ? 1 : 0);
  const pairs = reshape(x, [...outer, ...(interleaved ? [half, 2] : [2, half])]);
  return reshape(concat([slice(pairs, axis, 1, 2), slice(pairs, axis, 0, 1)], axis), x.shape);
}

/**
 * The rotations of rows `[..., T]` of heads of `width` columns, for {@linkcode rotate}.
 *
 * @throws {RangeError} if shapes or options do not fit.
 */
export function rotations(
  rows: readonly number[],
  width: number,
  options: RotaryEmbeddingOptions = {},
): Rotations {
  const { positions = 0, length, base = 10_000, interleaved = false } = options, count = rows.at(-1)!;
  if (!(base > 0 && Number.isFinite(base))) refuse(`the base must be a positive number: it is ${base}`);
  if (!(positions instanceof Tensor)) {
    if (!Number.isInteger(positions)) refuse(`the first position must be an integer: it is ${positions}`);
    const { cos, sin } = tables(positions, count, width, base, interleaved);
    return { cos: reshape(cos, [count, 1, width]), sin: reshape(sin, [count, 1, width]) };
  }
  checkInput(
    "rotaryEmbedding",
    "positions",
    positions,
    ["i32", "u32"],
    sameShape(positions.shape, [count]) ? [count] : rows,
  );
  if (!Number.isInteger(length) || length! < 1) {
    refuse(`a tensor of positions needs their number as "length", an integer from 1 on: it is ${length}`);
  }
  const { cos, sin } = tables(0, length!, width, base, interleaved), shape = [...positions.shape, 1, width];
  return { cos: reshape(gather(cos, positions), shape), sin: reshape(gather(sin, positions), shape) };
}

/** Tables [count, W] of cos a and of sin a, -sin a for the first column of a pair. */
function tables(
  first: number,
  count: number,
  width: number,
  base: number,
  interleaved: boolean,
): { cos: Tensor; sin: Tensor } {
  const [cos, sin] = [new Float32Array(count * width), new Float32Array(count * width)], half = width / 2;
  for (let pair = 0; pair < half; pair++) {
    const frequency = base ** (-pair / half);
    const [x, y] = interleaved ? [2 * pair, 2 * pair + 1] : [pair, pair + half];
    for (let row = 0; row < count; row++) {
      const angle = (first + row) * frequency, at = row * width;
      cos[at + x] = cos[at + y] = Math.cos(angle);
      sin[at + x] = -(sin[at + y] = Math.sin(angle));
    }
  }
  const table = (data: Float32Array<ArrayBuffer>): Tensor => tensor(data, [count, width], "f32", { copy: false });
  return { cos: table(cos), sin: table(sin) };
}

function refuse(sentence: string): never {
  throw new RangeError(`Cannot apply rotaryEmbedding: ${sentence}`);
}
