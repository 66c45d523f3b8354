/** evaluate.ts TASK: a checkpoint of any origin on a split of a task. */
import { countParameters, formatLoadReport, loadOfficial, settings, setUpAdapter, writeFileAtomic } from "../../mod.ts";
import { modelConfig, openAdapter, openTokenizer, round, say, setupOf } from "../_run.ts";
import { deviceFields, help, inputFields, modelFields } from "../_settings.ts";
import { type AnyTask, tasks } from "./mod.ts";
import { OF_THE_MODEL, type Origin, originOf } from "./origin.ts";

const { count, fields, group, list, none, oneOf, text } = settings;
const { onError, tokenizer, sep, textLength, resolution, workers } = inputFields, { model, patch } = modelFields;

const shared = fields({
  checkpoint: text(none, "model to evaluate: safetensors or .pth with ALBEF's names, or the folder of a run"),
  preset: oneOf(
    ["fine-tuned", "zero-shot"],
    "fine-tuned",
    "whether the model has been trained on this data set; it changes nothing but what the result says",
  ),
  predictions: text(none, "file that gets what the model says of each example, as official tools take it"),
  ...group("Data", {
    data: list([], "files of the split"),
    images: text(none, "folder that their image paths are relative to"),
    split: text(none, 'entries of this "split" of the files alone, several joined by +'),
    annotations: list([], "answers to VQA v2's questions"),
    ...{ onError, tokenizer, sep, textLength, resolution, workers },
  }),
  ...group("Model", {
    model,
    patch,
    precision: oneOf(["f32", "f16"], "f32", "f16: matrices take half the memory, where the adapter has 16-bit floats"),
  }),
  ...group("Run", { batch: count(64, "examples that are taken at a time"), ...deviceFields, help }),
});

type Options = settings.Values<typeof shared>;

/** The command with its flags. */
export async function evaluateTask(name: string, args: readonly string[]): Promise<void> {
  const task = tasks[name]!, all = fieldsOf(task);
  const given = settings.peek(all, "checkpoint", { args });
  const origin = given === undefined ? undefined : await originOf(given, "checkpoint");
  const options = settings.readSettings(all, { args, preset: origin ? await presetOf(task, origin) : {} }) as Options;
  if (options.help) return console.log(`evaluate.ts ${name}.\n\n${settings.formatHelp(all)}`);
  if (!origin) throw new settings.UsageError("--checkpoint is missing: give a checkpoint or the folder of a run");
  if (!options.tokenizer) throw new settings.UsageError("--tokenizer is missing: give the model's");
  await setUpAdapter();
  const device = await openAdapter(options);

  const { data, images, split, annotations, onError, textLength, batch, workers } = options;
  if (!data.length) throw new settings.UsageError(`--data is missing: give files of ${task.files}`);
  const files = { data, onError, ...(images ? { images } : {}), ...(split ? { split } : {}) };
  const dataset = await task.open({ ...files, ...(annotations.length ? { annotations } : {}) }, "evaluate", options);
  const values = await task.prepare?.(options, undefined) ?? options;
  const tokenizer = await openTokenizer({ ...options, vocabulary: 0, resume: false, out: "" }, () => []);
  const config = modelConfig({ ...options, dropout: 0 }, tokenizer);
  const setup = { ...setupOf({ ...options, augment: "none", remat: false, seed: 0 }, config, 1), tokenizer };
  const objective = task.objective(setup, values), { spec } = objective;
  const { params, report } = await loadOfficial(origin.path, task.official, config, { precision: options.precision });
  say(`${origin.path}: ${formatLoadReport(report)}`);
  if (report.missing.length) {
    throw new settings.UsageError(
      `--checkpoint "${given}" is not fine-tuned for ${name}: it has no ${report.missing[0]}`,
    );
  }
  say(`${dataset.length} examples of ${dataset.name}; ${countParameters(spec).toLocaleString("en")} parameters`);

  const evaluator = task.evaluator({ config, tokenizer, textLength, values, objective, batch, workers, onError });
  const began = performance.now(), score = await evaluator.evaluate(params, dataset);
  const seconds = (performance.now() - began) / 1000;
  await evaluator.close();
  say(score.line);
  const { predictions } = options;
  if (predictions && score.predictions === undefined) {
    throw new settings.UsageError(`--predictions: ${name} has none that official tools take`);
  }
  if (predictions) await writeFileAtomic(predictions, score.predictions!);
  console.log(JSON.stringify({
    task: name,
    adapter: device.adapter,
    checkpoint: origin.path,
    seconds: round(seconds),
    protocol: {
      preset: options.preset,
      zeroShot: options.preset === "zero-shot",
      resolution: config.vision.resolution,
      precision: options.precision,
      selection: "given checkpoint",
      ...evaluator.protocol,
    },
    figures: score.figures,
  }));
}

/** Settings of a run that hold for its evaluation. */
const KEPT = [...OF_THE_MODEL, "textLength", "resolution"];

function fieldsOf({ evaluation }: AnyTask) {
  return fields({ ...shared, ...group("Evaluation", evaluation) });
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
