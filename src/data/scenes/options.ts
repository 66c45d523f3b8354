/**
 * What scenes are made from.
 *
 * @module
 */

/** Options of a set of scenes. */
export interface SceneOptions {
  /** Number of training scenes. @default 2000 */
  readonly train?: number;
  /** Number of validation scenes. @default 256 */
  readonly val?: number;
  /** Number of test scenes. @default 256 */
  readonly test?: number;
  /** Width and height of the pictures in pixels. @default 64 */
  readonly size?: number;
  /** Seed that everything follows from. @default 0 */
  readonly seed?: number;
  /** Captions of each picture, 1 to 8. @default 3 */
  readonly captions?: number;
  /** Smallest and largest number of objects, 1 to 4. @default [2, 3] */
  readonly objects?: readonly [number, number];
  /**
   * Probability that a scene is a twin of the one before in its split: the same but for one attribute or the places that two
   * objects have exchanged.
   *
   * @default 0.25
   */
  readonly twins?: number;
  /** Number of groups in the split "hard", each of 8 scenes that differ little; 0: there is no such split. @default 0 */
  readonly hard?: number;
  /** How many of the 8 colours there are, 2 to 8. Few make a dense world, in which many captions are true of many scenes. @default 8 */
  readonly colors?: number;
  /** How many of the 8 shapes there are, 2 to 8. @default 8 */
  readonly shapes?: number;
  /** Share of the training pictures that have the captions of another one: noisy pairs. The pictures and facts stay. @default 0 */
  readonly swapped?: number;
}

/**
 * The options with their defaults.
 *
 * @throws {RangeError} If a value is outside its range.
 */
export function resolveSceneOptions(options: SceneOptions): Required<SceneOptions> {
  const { train = 2000, val = 256, test = 256, size = 64, seed = 0, captions = 3, objects = [2, 3], twins = 0.25 } =
    options;
  const { hard = 0, colors = 8, shapes = 8, swapped = 0 } = options;
  requireWhole("train", train, 1, 1e6);
  requireWhole("val", val, 0, 1e6);
  requireWhole("test", test, 0, 1e6);
  requireWhole("size", size, 16, 1024);
  requireWhole("seed", seed, 0, Number.MAX_SAFE_INTEGER);
  requireWhole("captions", captions, 1, 8);
  requireWhole("objects[0]", objects[0], 1, 4);
  requireWhole("objects[1]", objects[1], objects[0], 4);
  if (!(twins >= 0 && twins <= 0.9)) {
    throw new RangeError(`Cannot make scenes: "twins" is ${twins}, but it must be a number from 0 to 0.9`);
  }
  requireWhole("hard", hard, 0, 1e5);
  requireWhole("colors", colors, 2, 8);
  requireWhole("shapes", shapes, 2, 8);
  if (!(swapped >= 0 && swapped <= 1)) {
    throw new RangeError(`Cannot make scenes: "swapped" is ${swapped}, but it must be a number from 0 to 1`);
  }
  return { train, val, test, size, seed, captions, objects, twins, hard, colors, shapes, swapped };
}

function requireWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(
    `Cannot make scenes: "${name}" is ${value}, but it must be a whole number from ${least} to ${most}`,
  );
}
