/**
 * Sentences and stories about the things of scenes, without pictures: what a language model can learn before it sees any.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";
import { type Relation, RELATIONS } from "./facts.ts";
import { noun, values, withArticle } from "./nouns.ts";
import { COLORS, type Kinds, type Shape, SHAPES } from "./world.ts";

/** A text up to a place at which one of several ways to go on is right. */
export interface Cloze {
  /** Up to there. */
  readonly prefix: string;
  /** Ways to go on, each as likely to be right as the others. */
  readonly options: readonly string[];
  /** Index of the right one. */
  readonly answer: number;
}

/** What stands between a question and its answer, for texts and pictures alike. */
export const askWords = { question: "question:", answer: "answer:" } as const;

/** A question and, if it is given, its answer, as texts and conversations have them. */
export function asked(question: string, answer?: string): string {
  const text = `${askWords.question} ${question} ${askWords.answer}`;
  return answer === undefined ? text : `${text} ${answer}.`;
}

const NAMES = ["anna", "ben", "carl", "dora", "emil", "fay", "gus", "hana"];

/**
 * Things change hands, then somebody is asked for: three people have one thing each of a shape of its own, up to three gifts follow.
 *
 * @returns The text up to the answer, the people, and the index of the one who has the thing.
 */
export function tellStory(kinds: Kinds, random: Random): Cloze {
  const { sizes, colors, shapes } = values(kinds), count = Math.min(3, shapes.length);
  const names = random.shuffle([...NAMES]).slice(0, 3), things = random.shuffle([...shapes]).slice(0, count);
  const owners = things.map((_, i) => i),
    sentences = things.map((shape, i) => {
      const { one } = noun({ size: random.pick(sizes), color: random.pick(colors), shape });
      return `${names[i]} has ${withArticle(one)}.`;
    });
  for (let gift = random.below(4); gift > 0; gift--) {
    const thing = random.below(count), to = (owners[thing]! + 1 + random.below(2)) % 3;
    sentences.push(`${names[owners[thing]!]} gives the ${things[thing]} to ${names[to]}.`);
    owners[thing] = to;
  }
  const wanted = random.below(count);
  sentences.push(asked(`who has the ${things[wanted]}?`));
  const order = random.shuffle([0, 1, 2]);
  return {
    prefix: sentences.join(" "),
    options: order.map((i) => ` ${names[i]}`),
    answer: order.indexOf(owners[wanted]!),
  };
}

/** Whether a subject with these last words before its verb is kept for tests. */
function isHeldOut(subject: Shape, last: Shape): boolean {
  return (SHAPES.indexOf(subject) + 2 * SHAPES.indexOf(last)) % 5 === 0;
}

/** Nouns between a subject and its verb, at most. */
const MOST_BETWEEN = 3;

/**
 * "the rings left of the star below the square are": the verb agrees with the first noun, however many stand between.
 *
 * @param heldOut Whether the pair of the first and the last noun is one that training never has.
 */
export function agreement(kinds: Kinds, heldOut: boolean, random: Random): Cloze {
  const { shapes } = values(kinds), plural = random.below(2) === 1;
  const one = (shape: Shape, many: boolean) => many ? noun({ shape }).many : shape;
  while (true) {
    const subject = random.pick(shapes),
      between = Array.from({ length: 1 + random.below(MOST_BETWEEN) }, () => random.pick(shapes));
    if (isHeldOut(subject, between.at(-1)!) !== heldOut) continue;
    const phrases = between.map((shape) => `${random.pick(RELATIONS)} the ${one(shape, random.below(2) === 1)}`);
    return {
      prefix: ["the", one(subject, plural), ...phrases].join(" "),
      options: [" is", " are"],
      answer: plural ? 1 : 0,
    };
  }
}

/** The end of a sentence whose verb stands. */
export function predicate(kinds: Kinds, random: Random): string {
  const { sizes, colors } = values(kinds);
  return ` ${random.pick([random.pick(colors), random.pick(sizes)])}.`;
}

const opposite: Record<Relation, Relation> = {
  "left of": "right of",
  "right of": "left of",
  above: "below",
  below: "above",
};

/** "if the ring is above the star then the star is": below, not above. */
export function inverse(kinds: Kinds, heldOut: boolean, random: Random): Cloze {
  const { shapes } = values(kinds), relation = random.pick(RELATIONS), right = random.below(2);
  while (true) {
    const first = random.pick(shapes), second = random.pick(shapes);
    if (first === second || isHeldOut(first, second) !== heldOut) continue;
    const options = [opposite[relation], relation].map((words) => ` ${words} the ${first}.`);
    return {
      prefix: `if the ${first} is ${relation} the ${second} then the ${second} is`,
      options: right ? options.reverse() : options,
      answer: right,
    };
  }
}

const corners: Partial<Record<Shape, string>> = {
  circle: "no",
  ring: "no",
  triangle: "three",
  square: "four",
  diamond: "four",
};

/** What is true of all things of a kind. */
export function fact(kinds: Kinds, random: Random): string {
  const { shapes, colors } = values(kinds), shape = random.pick(shapes), color = random.pick(colors);
  const other = random.pick(COLORS.filter((c) => c !== color));
  return random.pick([
    ...(corners[shape] ? [`${withArticle(shape)} has ${corners[shape]} corners.`] : []),
    `${withArticle(`${color} ${shape}`)} is ${color}.`,
    `${withArticle(`${color} ${shape}`)} is ${withArticle(shape)}.`,
    `${withArticle(`${color} ${shape}`)} is not ${other}.`,
  ]);
}
