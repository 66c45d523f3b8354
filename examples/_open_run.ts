/** A trained model of images and texts, ready for use: from the folder of a run, or from a checkpoint and what flags say of it. */
import {
  type AlbefConfig,
  albefPairs,
  albefSpec,
  bertSpec,
  loadParameters,
  loadTokenizer,
  type Matcher,
  openCheckpoint,
  type PairModel,
  settings,
  sha256IfThere,
  specEntries,
  type SpecTree,
  type Tokenizer,
} from "../mod.ts";
import { modelConfig, parametersOf, say } from "./_run.ts";
import { inputFields, modelFields } from "./_settings.ts";
import { OF_THE_MODEL, originOf } from "./tasks/origin.ts";

const { fields, text } = settings;
const { sep, textLength, resolution } = inputFields, { model, patch } = modelFields;

/** Settings that say which model it is; a run's folder knows them all but the first. */
export const runFields = fields({
  checkpoint: text(
    settings.none,
    "trained model: the folder of a run, or safetensors or .pth with ALBEF's names (then with the settings of the model)",
  ),
  tokenizer: text(settings.none, "its tokenizer.json or vocab.txt"),
  ...{ model, patch, sep, textLength, resolution },
});

/** Values of {@linkcode runFields}. */
export type RunSettings = settings.Values<typeof runFields>;

/** A model with its parameters and tokenizer. */
export interface OpenedRun {
  readonly config: AlbefConfig;
  readonly tokenizer: Tokenizer;
  /** Tokens per text. */
  readonly textLength: number;
  /** Without a matching head where the checkpoint has none, or an untrained one. */
  readonly model: PairModel<Matcher>;
  readonly params: Matcher;
  /** The checkpoint's file and its SHA-256. */
  readonly file: { readonly path: string; readonly sha256: string };
}

/** What the run says of its model, for settings that are not given: the preset of {@linkcode runFields}. */
export async function presetOfRun(checkpoint: string): Promise<Partial<RunSettings>> {
  const origin = await originOf(checkpoint, "checkpoint");
  return await origin.preset([...OF_THE_MODEL, "textLength", "resolution"]) as Partial<RunSettings>;
}

/**
 * Opens a model: of a run's folder its best checkpoint, or the newest.
 *
 * @throws {settings.UsageError} If there is none, or its tokenizer is not known.
 * @throws {RangeError} If parameters are missing or have other shapes, all of them listed.
 */
export async function openRun(values: RunSettings): Promise<OpenedRun> {
  const { checkpoint, tokenizer: path, sep, textLength } = values;
  if (!checkpoint) throw new settings.UsageError("--checkpoint is missing: give the folder of a run or a checkpoint");
  const origin = await originOf(checkpoint, "checkpoint");
  if (!path) throw new settings.UsageError("--tokenizer is missing: give the model's");
  const tokenizer = await loadTokenizer(path, { sep }), config = modelConfig({ ...values, dropout: 0 }, tokenizer);
  const archive = await openCheckpoint(origin.path);
  try {
    const { itmWeight } = await origin.preset(["itmWeight"]), { image, text, ...head } = albefPairs(config);
    const hasHead = archive.tensors.has("itm_head.weight") && itmWeight !== 0; // an untrained head must not rank
    const spec = specOf(config, hasHead), target = specEntries(spec).map(([name, { shape }]) => [name, shape] as const);
    const { tensors } = await loadParameters(target, archive, { resizePositions: true });
    const values = new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
    say(`model: ${origin.path}${hasHead ? "" : ", two encoders without a matching head"}`);
    return {
      ...{ config, tokenizer, textLength },
      model: { image, text, ...(hasHead ? head : {}) },
      params: parametersOf(spec, values) as unknown as Matcher,
      file: { path: origin.path, sha256: (await sha256IfThere(origin.path))! },
    };
  } finally {
    archive.close();
  }
}

/** The parameters that are read: without a head the fusion layers are not needed either. */
function specOf(config: AlbefConfig, withHead: boolean): SpecTree {
  const { text_encoder: _, temp, itm_head, ...spec } = albefSpec(config);
  const layers = withHead ? config.text.layers : config.text.fusionLayer;
  const text_encoder = { bert: bertSpec({ ...config.text, layers }).bert };
  return withHead ? { ...spec, text_encoder, temp, itm_head } : { ...spec, text_encoder };
}
