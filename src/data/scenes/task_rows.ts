/**
 * What the files of scenes for the downstream tasks say.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";
import { drawHypotheses } from "./hypotheses.ts";
import { captionScene } from "./language.ts";
import type { SceneOptions } from "./options.ts";
import { type Picture, pictureFacts } from "./pictures.ts";
import { answerTypes, drawQuestions } from "./questions.ts";
import { referTo } from "./referring.ts";
import { drawStatements } from "./statements.ts";
import type { SPLITS } from "./world.ts";

/** A split whose files are to be written. */
export interface Split extends Required<Omit<SceneOptions, "hard" | "swapped" | typeof SPLITS[number]>> {
  /** Its name. */
  readonly split: typeof SPLITS[number];
  /** Its pictures. */
  readonly pictures: readonly Picture[];
  /** Pictures and captions take the streams of their indices, as those of `writeScenes` do; tasks take those with a word more. */
  readonly random: Random;
}

/** Number of each task in random streams, which is no index of a picture. */
const [QUESTIONS, STATEMENTS, HYPOTHESES, EXPRESSIONS] = [1e7, 1e7 + 1, 1e7 + 2, 1e7 + 3];

const scenesOf = ({ pictures }: Split) => pictures.map(({ scene }) => scene);

/** The rows of each file of a split, by its name in `TaskSceneFiles`. */
export const taskRows = {
  captions: ({ pictures, captions, random }: Split) =>
    pictures.map(({ file, scene }, i) => ({
      image: file,
      caption: captionScene(scene, captions, random.fork(i).fork(1)),
    })),

  questions: (split: Split) => {
    const first = split.pictures[0]!.id * 100; // a picture has four questions on average: numbers of splits do not meet
    const questions = drawQuestions(scenesOf(split), split, split.random.fork(QUESTIONS));
    return questions.map(({ scene, text, type, answer }, i) => ({
      dataset: "vqa",
      image: split.pictures[scene]!.file,
      question: text,
      question_id: first + i,
      question_type: type,
      answer_type: answerTypes[type],
      answer: Array<string>(10).fill(answer),
    }));
  },

  statements: (split: Split) => {
    const { pictures } = split, count = Math.ceil(pictures.length / 2);
    const statements = drawStatements(scenesOf(split), count, split, split.random.fork(STATEMENTS));
    return statements.flatMap(({ text, pairs }, set) =>
      pairs.map(({ left, right, label }, pair) => ({
        sentence: text,
        label: label ? "True" : "False",
        images: [pictures[left]!.file, pictures[right]!.file],
        identifier: `${split.split}-${set}-${pair}-0`,
      }))
    );
  },

  entailment: (split: Split) =>
    drawHypotheses(scenesOf(split), split, split.random.fork(HYPOTHESES)).map(({ scene, text, answer }) => ({
      image: split.pictures[scene]!.file,
      sentence: text,
      label: answer,
    })),

  expressions: ({ pictures, size, random }: Split) =>
    pictures.flatMap((picture, i) =>
      pictureFacts(picture, size).objects.map(({ bbox }, n) => ({
        image: picture.file,
        text: referTo(picture.scene[n]!, picture.scene, random.fork(EXPRESSIONS, i, n)),
        ref_id: 10 * picture.id + n,
        image_id: picture.id,
        box: bbox,
      }))
    ),

  facts: ({ pictures, size }: Split) => ({ images: pictures.map((picture) => pictureFacts(picture, size)) }),
};

/** The boxes of a picture's objects as a good detector finds them, in random order: a little moved, larger or smaller. */
export function detect(picture: Picture, size: number, random: Random): number[][] {
  const boxes = pictureFacts(picture, size).objects.map(({ bbox }) => {
    const [left, top, side] = bbox as [number, number, number];
    const half = side * random.uniform(0.45, 0.55);
    const [[l, r], [t, b]] = [left, top].map((from) => {
      const center = from + side / 2 + side * random.uniform(-0.08, 0.08);
      return [Math.max(center - half, 0), Math.min(center + half, size)];
    }) as [[number, number], [number, number]];
    return [l, t, r - l, b - t].map((part) => Number(part.toFixed(2)));
  });
  return random.shuffle(boxes);
}
