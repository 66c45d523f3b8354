/** Answers of a model to questions: the best of a list, or written freely. */
import {
  type AlbefConfig,
  AnswerGenerator,
  type Candidates,
  compile,
  imagePatches,
  listedAnswers,
  patched,
  rankAnswers,
  type Tensor,
  toDevice,
  toHost,
  type Tokenizer,
} from "../../mod.ts";
import type { TextBatch } from "./batches.ts";
import type { Parameters, Values } from "./task.ts";

/** Answers the questions of a mini-batch. */
export interface Answerer {
  /** How, for the result. */
  readonly protocol: Readonly<Record<string, unknown>>;
  answer(params: Parameters, questions: TextBatch): Promise<string[]>;
  destroy(): void;
}

/** Ranks the answers of a list by their likelihood. */
export function ranker(config: AlbefConfig, tokenizer: Tokenizer, { candidates, k, officialScore }: Values): Answerer {
  const texts: readonly string[] = candidates, options = { k, countFirstTokenTwice: officialScore };
  const rank = compile((p: Parameters, { images, ids, mask }: TextBatch, listed: Candidates) => {
    const questions = patched({ images, ids, mask }, config);
    return rankAnswers(p, questions, listed, { config }, options).answers; // [B, k], the best first
  });
  const listed = toDevice(listedAnswers(tokenizer, texts));
  return {
    protocol: {
      answers: texts.length,
      k: Math.min(k, texts.length),
      score: officialScore ? "likelihood, first token counted twice" : "likelihood",
    },
    async answer(params, questions) {
      const count = questions.ids.shape[0]!, [ranked] = await toHost([await rank(params, questions, await listed)]);
      return Array.from({ length: count }, (_, row) => texts[ranked![row * ranked!.length / count]!]!);
    },
    destroy: () => rank.destroy(),
  };
}

/** Writes answers token by token. */
export function writer(config: AlbefConfig, tokenizer: Tokenizer, { generate: width }: Values): Answerer {
  const { clsId, sepId } = tokenizer, generator = new AnswerGenerator({ config, clsId, sepId, width });
  const patch = compile((images: Tensor) => imagePatches(images, config.vision));
  return {
    protocol: { answers: "generated", beams: width },
    async answer(params, { images, ids, mask }) {
      const written = await generator.generate(params, { patches: await patch(images), ids, mask });
      return written.map(([best]) => tokenizer.decode(best!.ids));
    },
    destroy() {
      generator.destroy();
      patch.destroy();
    },
  };
}

/** A JSON list of texts, or lines. @throws {SyntaxError} If the file holds anything else. */
export async function readAnswers(path: string): Promise<string[]> {
  const content = await Deno.readTextFile(path).catch((error) => {
    throw error instanceof Deno.errors.NotFound ? new Error(`Cannot read "${path}": there is no such file`) : error;
  });
  const text = content.replace(/^\uFEFF/, ""), lines = text.split(/\r?\n/).filter((line) => line !== "");
  const answers: unknown = text.trimStart().startsWith("[") ? parseList(text, path) : lines;
  if (Array.isArray(answers) && answers.every((answer) => typeof answer === "string" && answer !== "")) return answers;
  throw new SyntaxError(`Cannot read "${path}": it must be a JSON list of answers, or have an answer in each line`);
}

function parseList(content: string, path: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new SyntaxError(`Cannot read "${path}": it is not JSON (${(error as Error).message})`);
  }
}
