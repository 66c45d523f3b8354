/** What a model knows: figures of texts and of pictures that are held out. */
import { captionHolds, type Sequence, SequenceScorer, toSequence, type VisionLanguage } from "../../mod.ts";
import { mean } from "../ablate/statistics.ts";
import { promptSegments, sequenceOf, viewOf, Writer } from "./ask.ts";
import { type Figure, lossFigure, majority, unigramLoss } from "./scores.ts";
import { DESCRIBE, type Question, type World } from "./world.ts";

/** Figures by name, each with its chance. */
export interface Figures {
  /** Loss of held-out texts (see `lossFigure`), accuracy of each kind of cloze tasks. */
  readonly text: Readonly<Record<string, Figure>>;
  /** Answers that are written and ranked, places that are ranked, captions that are true. */
  readonly vision: Readonly<Record<string, Figure>>;
  /** Controls: ranking with pictures without content. */
  readonly blank: Readonly<Record<string, Figure>>;
  /** Loss of held-out texts in nats a token. */
  readonly loss: number;
}

/** Documents of a mini-batch. */
const BATCH = 32;

/** Tokens of a question, an answer and a caption at most. */
const QUESTION_TOKENS = 32, ANSWER_TOKENS = 8, CAPTION_TOKENS = 48;

/** Asks models of one size. It holds programs and Workers until it is closed. */
export class Judge implements AsyncDisposable {
  readonly #texts: SequenceScorer;
  readonly #pictures: SequenceScorer;
  readonly #answers: Writer;
  readonly #captions: Writer;
  readonly #held: readonly Sequence[];
  readonly #unigram: number;

  constructor(readonly world: World) {
    const { config, tokenizer, budget: { length }, texts, heldTexts } = world;
    const sizes = { batch: BATCH, length: 2 * length, padId: tokenizer.endId, config },
      pixels = { view: viewOf(world), cacheBytes: 2 ** 26 };
    this.#texts = new SequenceScorer({ ...sizes, images: 0 });
    this.#pictures = new SequenceScorer({ ...sizes, length, images: BATCH, pixels });
    const writing = { batch: BATCH, promptLength: world.imageTokens + QUESTION_TOKENS };
    this.#answers = new Writer(world, { ...writing, maxTokens: ANSWER_TOKENS });
    this.#captions = new Writer(world, { ...writing, maxTokens: CAPTION_TOKENS });
    const document = (text: string) =>
      toSequence([{ text }, "end"], { tokenizer, imageTokens: 0, maxLength: 2 * length });
    this.#held = heldTexts.map(document);
    const ids = (all: readonly Sequence[]) => all.map(({ tokens }) => tokens);
    this.#unigram = unigramLoss(ids(texts.slice(0, 5000).map(document)), ids(this.#held), tokenizer.vocabularySize);
  }

  /** All figures of a model. */
  async figures(params: VisionLanguage): Promise<Figures> {
    const loss = await this.#loss(params), { trainQuestions, questions } = this.world;
    const guess = (kind: "vqa" | "where"): number => {
      const most = majority(trainQuestions[kind]);
      return share(questions[kind].map(({ question, answer }) => most(question) === answer));
    };
    const chance = { vqa: guess("vqa"), where: guess("where") };
    const written = await this.#answers.write(params, questions.vqa);
    const figure = (value: number, kind: "vqa" | "where"): Figure => ({ value, chance: chance[kind] });
    return {
      loss,
      text: { texts: lossFigure(loss, this.#unigram), ...await this.#cloze(params) },
      vision: {
        "vqa, written": figure(share(questions.vqa.map(({ answer }, i) => written[i] === `${answer}.`)), "vqa"),
        "vqa, ranked": figure(await this.#ranked(params, questions.vqa), "vqa"),
        "where, ranked": figure(await this.#ranked(params, questions.where), "where"),
        captions: await this.#trueCaptions(params),
      },
      blank: {
        "vqa, ranked": figure(await this.#ranked(params, questions.vqa, true), "vqa"),
        "where, ranked": figure(await this.#ranked(params, questions.where, true), "where"),
      },
    };
  }

  async #loss(params: VisionLanguage): Promise<number> {
    const scores = await this.#texts.score(params, this.#held);
    const sum = (of: "logLikelihood" | "tokens") => scores.reduce((total, score) => total + score[of], 0);
    return -sum("logLikelihood") / sum("tokens");
  }

  async #cloze(params: VisionLanguage): Promise<Record<string, Figure>> {
    const { tokenizer, cloze, budget: { length } } = this.world, figures: Record<string, Figure> = {};
    for (const [task, items] of Map.groupBy(cloze, ({ task }) => task)) {
      const ways = items.map(({ prefix, options }) =>
        options.map((text) =>
          toSequence([{ text: prefix, learned: false }, { text }], { tokenizer, imageTokens: 0, maxLength: 2 * length })
        )
      );
      const best = await this.#texts.rank(params, ways);
      const value = share(items.map(({ answer }, i) => best[i] === answer));
      figures[task] = { value, chance: mean(items.map(({ options }) => 1 / options.length)) };
    }
    return figures;
  }

  async #ranked(params: VisionLanguage, questions: readonly Question[], blank = false): Promise<number> {
    const { budget: { length } } = this.world;
    const ways = questions.map(({ image, question, options }) =>
      options.map((option) =>
        sequenceOf(this.world, [...promptSegments({ image, question }), { text: ` ${option}.` }, "end"], length)
      )
    );
    // Kinds of questions have different numbers of options, which change nothing: all of them are rows.
    const best = await this.#pictures.rank(params, ways, blank);
    return share(questions.map(({ answer, options }, i) => options[best[i]!] === answer));
  }

  async #trueCaptions(params: VisionLanguage): Promise<Figure> {
    const { pictures } = this.world;
    const written = await this.#captions.write(params, pictures.map(({ image }) => ({ image, question: DESCRIBE })));
    const holds = (caption: string, scene: typeof pictures[number]["scene"]): boolean => {
      try {
        return captionHolds(caption.replace(/\.$/, ""), scene);
      } catch (error) {
        if (error instanceof SyntaxError) return false; // no sentence of the language
        throw error;
      }
    };
    const isTrue = (shift: number) =>
      share(written.map((caption, i) => holds(caption, pictures[(i + shift) % pictures.length]!.scene)));
    // Chance: what is true of another picture, a caption that says nothing of this one.
    return { value: isTrue(0), chance: isTrue(1) };
  }

  /** Frees programs and ends Workers. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#texts.close(), this.#pictures.close()]);
    await Promise.all([this.#answers, this.#captions].map((writer) => writer[Symbol.asyncDispose]()));
  }
}

function share(right: readonly boolean[]): number {
  return mean(right.map(Number));
}
