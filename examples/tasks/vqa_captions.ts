/** Questions with their answers as captions: what pre-training learns from where there is nothing but the task's own data. */
import { type CaptionPair, captionPair, type Dataset, type VqaDataset } from "../../mod.ts";

/** An entry for every image; which of its questions stands for it is drawn each time, and so is the answer, by its weight. */
export function questionCaptions(questions: VqaDataset): Dataset<CaptionPair> {
  const byImage = new Map<string, number[]>();
  for (let index = 0; index < questions.length; index++) {
    const { images: [{ path }], answers } = questions.entry(index);
    if (answers.length) byImage.getOrInsertComputed(path, () => []).push(index);
  }
  const images = [...byImage];
  return {
    name: `questions of ${questions.name}`,
    skipped: [],
    length: images.length,
    example(number, random) {
      const [image, own] = images[number]!, { question, answers } = questions.entry(random.pick(own));
      let left = random.uniform() * answers.reduce((sum, { weight }) => sum + weight, 0);
      const drawn = answers.find(({ weight }) => (left -= weight) < 0) ?? answers[0]!;
      return captionPair({ image, captions: [`${question} ${drawn.text}`], imageId: number }, random);
    },
  };
}
