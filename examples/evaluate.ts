/**
 * Evaluation of downstream tasks: of a model on a split, or of files of results. Each command prints one line of JSON.
 *
 *     deno run -A examples/evaluate.ts vqa --checkpoint runs/finetune --data test.json --images photos --predictions R.json
 *     deno run -A examples/evaluate.ts retrieval --checkpoint runs/pretrain --preset zero-shot --data captions.json --images photos
 *     deno run -A examples/evaluate.ts vqa-accuracy --questions Q.json --annotations A.json --results R.json
 *     deno run -A examples/evaluate.ts nlvr-accuracy --data D.jsonl --predictions P.csv
 *     deno run -A examples/evaluate.ts vqa-accuracy --help
 */
import { runCommand } from "./_run.ts";
import { evaluateTask, helpOfTasks } from "./tasks/evaluate.ts";
import { tasks } from "./tasks/mod.ts";
import { DiskError, type NamedText, nlvrFileAccuracy, settings, vqaFileAccuracy, writeFileAtomic } from "../mod.ts";

const { fields, none, text, toggle } = settings;

const help = toggle(false, "print this", { once: true });

const vqaFields = fields({
  questions: text(none, "questions in VQA v2's JSON"),
  annotations: text(none, "their annotations, with the answers that people gave"),
  results: text(none, "answers to evaluate: a JSON list of question_id and answer"),
  perQuestion: text(none, "file that gets the accuracy of every question, as JSON"),
  help,
});

const nlvrFields = fields({
  data: text(none, "statements in NLVR's JSON lines"),
  predictions: text(none, "predictions to evaluate: lines of identifier,true|false"),
  help,
});

/** What the command does with its arguments. */
export async function main(args: readonly string[]): Promise<void> {
  const [command, ...flags] = args;
  if (command === "vqa-accuracy") return await vqa(flags);
  if (command === "nlvr-accuracy") return await nlvr(flags);
  if (command !== undefined && Object.hasOwn(tasks, command)) return await evaluateTask(command, flags);
  if (command === "--help") return console.log(`${helpOfTasks()}\n\n${helpOfVqa()}\n\n${helpOfNlvr()}`);
  const found = command === undefined ? "nothing is given" : `it is "${command}"`;
  const names = [...Object.keys(tasks), "vqa-accuracy", "nlvr-accuracy"].join(", ");
  throw new settings.UsageError(`The first argument must be one of ${names}: ${found}`);
}

async function vqa(args: readonly string[]): Promise<void> {
  const options = settings.readSettings(vqaFields, { args });
  if (options.help) return console.log(helpOfVqa());
  const { perQuestion, ...accuracy } = vqaFileAccuracy(await readAll(options, "questions", "annotations", "results"));
  if (options.perQuestion !== undefined) {
    // Written by hand: objects would sort their keys, and the official script keeps the order of the annotations.
    const entries = [...perQuestion].map(([questionId, value]) => `"${questionId}": ${value}`);
    await write(options.perQuestion, `{${entries.join(", ")}}\n`);
  }
  console.log(JSON.stringify(accuracy));
}

async function nlvr(args: readonly string[]): Promise<void> {
  const options = settings.readSettings(nlvrFields, { args });
  if (options.help) return console.log(helpOfNlvr());
  console.log(JSON.stringify(nlvrFileAccuracy(await readAll(options, "data", "predictions"))));
}

function helpOfVqa(): string {
  return `vqa-accuracy: the accuracy of VQA v2, as its official script computes it.\n\n${
    settings.formatHelp(vqaFields)
  }`;
}

function helpOfNlvr(): string {
  return `nlvr-accuracy: precision and consistency of NLVR.\n\n${settings.formatHelp(nlvrFields)}`;
}

/** The files that flags name, all of them needed. */
async function readAll<K extends string>(
  options: Readonly<Record<K, string | undefined>>,
  ...keys: K[]
): Promise<Record<K, NamedText>> {
  const paths = keys.map((key) => [key, options[key] ?? missing(key)] as const);
  const files = paths.map(async ([key, name]) => [key, { name, text: await read(name) }] as const);
  return Object.fromEntries(await Promise.all(files)) as Record<K, NamedText>;
}

function missing(key: string): never {
  throw new settings.UsageError(`--${settings.settingName(key)} is missing: give the path of a file`);
}

async function read(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).replace(/^\uFEFF/, "");
  } catch (error) {
    throw new Error(`Cannot read "${path}": ${reasonOf(error, "there is no such file")}`);
  }
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFileAtomic(path, text);
  } catch (error) {
    if (error instanceof DiskError) throw error;
    throw new Error(`Cannot write "${path}": ${reasonOf(error, "there is no such folder")}`);
  }
}

function reasonOf(error: unknown, notFound: string): string {
  if (error instanceof Deno.errors.NotFound) return notFound;
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  return (error as Error).message;
}

if (import.meta.main) await runCommand(main);
