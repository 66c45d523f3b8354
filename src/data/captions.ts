/**
 * Clean-up of captions and questions, as ALBEF and GRIT-VLP do it before tokenizing.
 *
 * @module
 */

const deleted = /[,.'!?"()*#:;~]/g;

/**
 * A caption as the model sees it: lower case, punctuation deleted, hyphen and slash as spaces, `<person>` as a word, runs of white
 * space as one space, outer spaces gone, the first words only. The result may be empty.
 *
 * @param maxWords Words to keep, split at single spaces. The originals always keep 30.
 */
export function cleanCaption(text: string, maxWords = 30): string {
  const cleaned = withoutPunctuation(text).replaceAll("<person>", "person")
    .replace(/\s{2,}/g, " ").replace(/\n+$/, "").replace(/^ +| +$/g, "");
  return firstWords(cleaned, maxWords);
}

/**
 * A question as the model sees it: as {@linkcode cleanCaption}, but only spaces at the right are removed, white space is not collapsed
 * and `<person>` stays.
 *
 * @param maxWords Words to keep, split at single spaces: the originals keep 30 in training and 50 in tests.
 */
export function cleanQuestion(text: string, maxWords: number): string {
  return firstWords(withoutPunctuation(text).replace(/ +$/, ""), maxWords);
}

function withoutPunctuation(text: string): string {
  return text.toLowerCase().replace(deleted, "").replace(/[-/]/g, " ");
}

function firstWords(text: string, count: number): string {
  return text.split(" ").slice(0, count).join(" ");
}
