/**
 * Asks a model of `deno task when-images` about a picture, or without one.
 *
 *     deno run -A examples/chat.ts --model FOLDER --image photo.png "How many red rings are there?"
 *     deno run -A examples/chat.ts --model FOLDER --image photo.png       # questions from standard input, line by line
 *
 * FOLDER is a model of `runs/when-images/when-images/models`; without it the newest one there is asked. Its language is that of scenes (see
 * `src/data/scenes/questions.ts`): "is there a red star?", "where is the big circle?", "describe the picture."
 */
import {
  imageTokenCount,
  listCheckpoints,
  loadTextTokenizer,
  settings,
  setUpAdapter,
  type VisionLanguageConfig,
  visionLanguageSpec,
} from "../mod.ts";
import { runCommand } from "./_run.ts";
import { noTuning } from "./_settings.ts";
import { type Reader, Writer } from "./when_images/ask.ts";
import { parametersOf, readValues } from "./when_images/values.ts";

const { fields, text, toggle } = settings;

const declared = fields({
  model: text(settings.none, "folder of the model; without it the newest one of --models"),
  models: text("runs/when-images/when-images/models", "folder of models"),
  image: text(settings.none, "the picture; without it the model answers from text alone"),
  noTuning,
  help: toggle(false, "print this"),
});

/** Tokens of an answer at most, and of a question without its picture. */
const ANSWER = 48, QUESTION = 64;

/** What the command does with its arguments; questions that come later are lines of `input`. */
export async function main(args: readonly string[], input: () => string | null = () => prompt(">")): Promise<void> {
  const [questions, flags] = questionsAndFlags(args), options = settings.readSettings(declared, { args: flags });
  if (options.help) return console.log(settings.formatHelp(declared));
  const folder = options.model ?? await newest(options.models);
  await setUpAdapter({ tuning: !options.noTuning });
  const reader = await openReader(folder), spec = visionLanguageSpec(reader.config);
  const params = parametersOf(spec, await readValues(await lastCheckpoint(folder), spec));
  const promptLength = reader.config.decoder.maxPositions - ANSWER;
  await using writer = new Writer(reader, {
    batch: 1,
    promptLength: Math.min(promptLength, imageTokenCount(reader.config.image) + QUESTION),
    maxTokens: ANSWER,
  });
  const answer = async (question: string): Promise<void> => {
    const asked = { question: question.trim().toLowerCase(), ...(options.image ? { image: options.image } : {}) };
    const [answer] = await writer.write(params, [asked]);
    console.log(answer);
  };
  for (const question of questions) await answer(question);
  if (questions.length) return;
  for (let line; (line = input()) !== null;) if (line.trim()) await answer(line);
}

/** Arguments that are questions, which have a space, a question mark or a full stop, and the others with their values. */
function questionsAndFlags(args: readonly string[]): [string[], string[]] {
  const isValue = (i: number) => /^--[^=]+$/.test(args[i - 1] ?? "") && args[i - 1] !== "--help";
  const isQuestion = (arg: string, i: number) => !arg.startsWith("--") && !isValue(i);
  return [args.filter(isQuestion), args.filter((arg, i) => !isQuestion(arg, i))];
}

/** A model's sizes and tokenizer. */
async function openReader(folder: string): Promise<Reader> {
  const config = JSON.parse(await read(`${folder}/config.json`)) as VisionLanguageConfig;
  if (!config.image || !config.decoder) {
    throw new settings.UsageError(`"${folder}/config.json" must say "decoder" and "image"`);
  }
  return { config: { ...config, image: config.image }, tokenizer: await loadTextTokenizer(`${folder}/tokenizer.json`) };
}

async function read(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new settings.UsageError(
      `There is no file "${path}": --model must be a folder that "deno task when-images" has written`,
    );
  }
}

/** The file of the last checkpoint that is whole. */
async function lastCheckpoint(folder: string): Promise<string> {
  const newest = (await listCheckpoints(folder)).at(-1);
  if (newest) return `${folder}/${newest}.safetensors`;
  throw new settings.UsageError(`"${folder}" has no checkpoint: its run was broken off`);
}

/** The folder that was written last. */
async function newest(models: string): Promise<string> {
  const folders: { path: string; at: number }[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(models)) {
      const path = `${models}/${name}`;
      if (isDirectory) folders.push({ path, at: (await Deno.stat(path)).mtime?.getTime() ?? 0 });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (folders.length) return folders.reduce((a, b) => b.at > a.at ? b : a).path;
  throw new settings.UsageError(
    `There is no model in "${models}": "deno task when-images" makes some, or give --model`,
  );
}

if (import.meta.main) {
  await runCommand(main);
  Deno.exit(0); // workers of a driver may keep a process alive
}
