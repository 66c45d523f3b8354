/**
 * Statements about two scenes side by side.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";
import { type Noun, noun, values, withArticle } from "./nouns.ts";
import type { Kinds, Scene } from "./world.ts";

/** A statement about two scenes. */
export interface SceneStatement {
  /** The sentence. */
  readonly text: string;
  /** Pairs of scenes by their indices: two of which it is true and two of which it is false, in random order. */
  readonly pairs: readonly { readonly left: number; readonly right: number; readonly label: boolean }[];
}

/** Pairs of each label that a statement has. */
const PAIRS = 2;

/** Statements that are drawn for one, and pairs for one statement, before the scenes are said to be too few. */
const TRIES = 200;

/**
 * Statements, each true of two pairs and false of two, so that a sentence tells nothing of its label.
 *
 * @throws {RangeError} If there are too few scenes.
 */
export function drawStatements(
  scenes: readonly Scene[],
  count: number,
  kinds: Kinds,
  random: Random,
): SceneStatement[] {
  const draw = pairDrawer(scenes);
  return Array.from({ length: count }, (_, number) => {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const own = random.fork(number, attempt), sentence = drawSentence(kinds, own), pairs = draw(sentence, own);
      if (pairs) return { text: sentence.text, pairs };
    }
    throw new RangeError(
      `Cannot draw statements about pairs of ${scenes.length} scenes: none is true of ${PAIRS} and false of ${PAIRS}, ` +
        "ask for more scenes",
    );
  });
}

/** What is said, with the kind of objects that decides on it. */
interface Sentence {
  readonly text: string;
  readonly noun: Noun;
  /** By the numbers of such objects in the left and the right scene. */
  readonly holds: (left: number, right: number) => boolean;
}

const numbers = ["no", "one", "two", "three"];

function drawSentence(kinds: Kinds, random: Random): Sentence {
  const { sizes, colors, shapes } = values(kinds);
  const [size, color, shape] = [random.pick(sizes), random.pick(colors), random.pick(shapes)];
  const one = noun(random.pick([{ size }, { color }, { shape }, { color, shape }]));
  const some = random.pick([noun({}), noun({ size }), noun({ color }), noun({ shape })]), total = 1 + random.below(3);
  const a = withArticle(one.one), things = some.many;
  return random.pick<Sentence>([
    { text: `the left picture shows ${a}`, noun: one, holds: (left) => left > 0 },
    { text: `the right picture shows ${a}`, noun: one, holds: (_, right) => right > 0 },
    { text: `both pictures show ${a}`, noun: one, holds: (left, right) => left > 0 && right > 0 },
    { text: `only one picture shows ${a}`, noun: one, holds: (left, right) => (left > 0) !== (right > 0) },
    { text: `the left picture shows more ${things} than the right`, noun: some, holds: (left, right) => left > right },
    { text: `the left picture shows fewer ${things} than the right`, noun: some, holds: (left, right) => left < right },
    { text: `both pictures show the same number of ${things}`, noun: some, holds: (left, right) => left === right },
    {
      text: `in all there ${total === 1 ? `is one ${one.one}` : `are ${numbers[total]} ${one.many}`}`,
      noun: one,
      holds: (left, right) => left + right === total,
    },
  ]);
}

/**
 * Draws pairs for a sentence. Half of the scenes taken show its objects (more than others do, if all show some), so that what is
 * false of a pair is often true of a part of it.
 */
function pairDrawer(
  scenes: readonly Scene[],
): (sentence: Sentence, random: Random) => SceneStatement["pairs"] | undefined {
  const known = new Map<string, readonly (readonly number[])[]>();
  const halves = ({ one, count }: Noun) => {
    const found = known.get(one);
    if (found) return found;
    const least = Math.min(...scenes.map(count));
    const parts = Object.values(Object.groupBy(scenes.keys(), (i) => count(scenes[i]!) > least ? "more" : "least"));
    known.set(one, parts);
    return parts;
  };
  return ({ noun, holds }, random) => {
    const parts = halves(noun), found = { true: new Map<string, Pair>(), false: new Map<string, Pair>() };
    const draw = () => random.pick(random.pick(parts));
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const left = draw(), right = draw(), label = holds(noun.count(scenes[left]!), noun.count(scenes[right]!));
      const own = found[`${label}`];
      if (left !== right && own.size < PAIRS) own.set(`${left} ${right}`, { left, right, label });
      if (found.true.size + found.false.size === 2 * PAIRS) {
        return random.shuffle([...found.true.values(), ...found.false.values()]);
      }
    }
    return undefined;
  };
}

type Pair = SceneStatement["pairs"][number];
