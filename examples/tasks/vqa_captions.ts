/** Questions with their answers as captions: what pre-training learns from where there is nothing but the task's own data. */
import { type CaptionPair, captionPair, type Dataset, type Random, type VqaDataset } from "../../mod.ts";

/** Questions that make a caption; one alone fits many images. */
export const QUESTIONS_OF_A_CAPTION = 2;

/**
 * An entry for every image. Which of its questions make the caption is drawn each time, and so are their answers, by their weights;
 * "yes" and "no" say little of an image, and are taken only where there is nothing else.
 */
export function questionCaptions(questions: VqaDataset): Dataset<CaptionPair> {
  const byImage = new Map<string, { telling: number[]; others: number[] }>();
  for (let index = 0; index < questions.length; index++) {
    const { images: [{ path }], answers } = questions.entry(index);
    if (!answers.length) continue;
    const own = byImage.getOrInsertComputed(path, () => ({ telling: [], others: [] }));
    (answers.some(({ text }) => !/^(yes|no)$/i.test(text)) ? own.telling : own.others).push(index);
  }
  const images = [...byImage];
  return {
    name: `questions of ${questions.name}`,
    skipped: [],
    length: images.length,
    example(number, random) {
      const [image, { telling, others }] = images[number]!;
      const drawn = random.shuffle([...(telling.length ? telling : others)]).slice(0, QUESTIONS_OF_A_CAPTION);
      const caption = drawn.map((index) => answered(questions, index, random)).join(" ");
      return captionPair({ image, captions: [caption], imageId: number }, random);
    },
  };
}

/** A question with one of its answers. */
function answered(questions: VqaDataset, index: number, random: Random): string {
  const { question, answers } = questions.entry(index);
  let left = random.uniform() * answers.reduce((sum, { weight }) => sum + weight, 0);
  const { text } = answers.find(({ weight }) => (left -= weight) < 0) ?? answers[0]!;
  return `${question} ${text}`;
}
