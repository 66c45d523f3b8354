/** evaluate.ts TASK: a checkpoint of any origin on a split of a task. */
import { formatLoadReport, loadOfficial, settings, setUpAdapter, writeFileAtomic } from "../../mod.ts";
import { modelConfig, openAdapter, openTokenizer, round, say, setupOf } from "../_run.ts";
import { deviceFields, help, inputFields, modelFields } from "../_settings.ts";
import { type AnyTask, tasks } from "./mod.ts";
import { OF_THE_MODEL, type Origin, originOf } from "./origin.ts";
import type { Values } from "./task.ts";

const { count, fields, group, list, none, oneOf, text } = settings;
const { onError, outside, tokenizer, sep, textLength, resolution, workers } = inputFields,
  { model, patch } = modelFields;

const shared = fields({
  checkpoint: text(none, "model to evaluate: safetensors or .pth with ALBEF's names, or the folder of a run"),
  preset: oneOf(
    ["fine-tuned", "zero-shot"],
    "fine-tuned",
    "whether the model has been trained on this data set; it changes nothing but what the result says",
  ),
  ...group("Data", {
    data: list([], "files of the split"),
    images: text(none, "folder that their image paths are relative to"),
    split: text(none, 'entries of this "split" of the files alone, several joined by +'),
    annotations: list([], "answers to VQA v2's questions"),
    ...{ onError, outside, tokenizer, sep, textLength, resolution, workers },
  }),
  ...group("Model", {
    model,
    patch,
    precision: oneOf(["f32", "f16"], "f32", "f16: matrices take half the memory, where the adapter has 16-bit floats"),
  }),
  ...group("Run", { batch: count(64, "examples that are taken at a time"), ...deviceFields, help }),
});

type Options = settings.Values<typeof shared> & { readonly predictions?: string };

/** The command with its flags. */
export async function evaluateTask(name: string, args: readonly string[]): Promise<void> {
  const task = tasks[name]!, all = fieldsOf(task), given = settings.peek(all, "checkpoint", { args });
  const origin = given === undefined ? undefined : await originOf(given, "checkpoint");
  const options = settings.readSettings(all, { args, preset: origin ? await presetOf(task, origin) : {} }) as Options;
  if (options.help) return console.log(`evaluate.ts ${name}.\n\n${settings.formatHelp(all)}`);
  if (!origin) throw new settings.UsageError("--checkpoint is missing: give a checkpoint or the folder of a run");
  if (!options.tokenizer) throw new settings.UsageError("--tokenizer is missing: give the model's");
  if (!options.data.length) throw new settings.UsageError(`--data is missing: give files of ${task.files}`);
  await setUpAdapter({ tuning: !options.noTuning });
  const device = await openAdapter(options);

  const { data, images, split, annotations, onError, outside, textLength, batch, workers, precision, predictions } =
    options;
  const files = { data, onError, outside, ...(images ? { images } : {}), ...(split ? { split } : {}) };
  const dataset = await task.open({ ...files, ...(annotations.length ? { annotations } : {}) }, "evaluate", options);
  const values = await task.prepare?.(options, undefined) ?? options;
  const { params, ...model } = await openModel(task, origin, options, values), { config } = model;
  say(`${dataset.length} examples of ${dataset.name}`);

  const evaluator = task.evaluator({ ...model, textLength, values, batch, workers, onError });
  const began = performance.now(), score = await evaluator.evaluate(params, dataset);
  const seconds = round((performance.now() - began) / 1000), zeroShot = options.preset === "zero-shot";
  await evaluator.close();
  say(score.line);
  if (predictions) await writeFileAtomic(predictions, score.predictions!);
  const protocol = { preset: options.preset, zeroShot, resolution: config.vision.resolution, precision };
  console.log(JSON.stringify({
    task: name,
    adapter: device.adapter,
    checkpoint: origin.path,
    seconds,
    protocol: { ...protocol, selection: "given checkpoint", ...evaluator.protocol },
    figures: score.figures,
  }));
}

/** The model with the parameters of a checkpoint that must have all of them: a head that is drawn at random would say nothing. */
async function openModel(task: AnyTask, { path }: Origin, options: Options, values: Values) {
  const tokenizer = await openTokenizer({ ...options, vocabulary: 0, resume: false, out: "" }, () => []);
  const config = modelConfig({ ...options, dropout: 0 }, tokenizer);
  const setup = { ...setupOf({ ...options, augment: "none", remat: false, seed: 0 }, config, 1), tokenizer };
  const objective = task.objective(setup, values), { precision } = options;
  const { params, report } = await loadOfficial(path, task.official, config, { precision });
  say(`${path}: ${formatLoadReport(report)}`);
  if (!report.missing.length) return { tokenizer, config, objective, params };
  throw new settings.UsageError(
    `--checkpoint "${path}" is not fine-tuned for the task: it has no ${report.missing[0]}`,
  );
}

/** Settings of a run that hold for its evaluation. */
const KEPT = [...OF_THE_MODEL, "textLength", "resolution"];

function fieldsOf({ evaluation, predictions }: AnyTask) {
  const file = text(none, `file that gets what the model says of each example: ${predictions}`);
  return fields({
    ...shared,
    ...group("Evaluation", { ...evaluation, ...(predictions ? { predictions: file } : {}) }),
  });
}

/** What the run that made the model says, which flags may overrule. */
async function presetOf({ evaluation }: AnyTask, origin: Origin): Promise<Record<string, unknown>> {
  const answers = evaluation.answers && await origin.beside("answers.json");
  return { ...await origin.preset(KEPT), ...(answers ? { answers } : {}) };
}

export function helpOfTasks(): string {
  return `TASK --checkpoint PATH --data FILE: a model on a split of ${
    Object.keys(tasks).join(", ")
  }; TASK --help lists its flags.`;
}
