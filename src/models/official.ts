/**
 * Checkpoints of ALBEF and GRIT-VLP as their authors published them, and of models that were saved under the same names: loaded for a
 * task by one call.
 *
 * @module
 */
import { defaultDevice, type Device } from "../gpu/device.ts";
import { UnsupportedError } from "../gpu/errors.ts";
import { upload } from "../gpu/storage.ts";
import { openCheckpoint } from "../io/checkpoint.ts";
import { type LoadOptions, planLoad } from "../io/load.ts";
import type { LoadReport } from "../io/load_report.ts";
import { type NameTable, wrapperOf } from "../io/names.ts";
import { albefNames, albefNamesForAnswers, albefNamesForTwoImages, albefNamesOfTwoImages } from "../io/names_albef.ts";
import { initialValues, mapSpecs, specEntries, type SpecTree } from "../nn/spec.ts";
import type { Tensor } from "../program/graph.ts";
import { stored } from "../program/program.ts";
import { type Albef, albefSpec } from "./albef.ts";
import type { AlbefConfig } from "./config.ts";
import { type Entailment, entailmentSpec } from "./entailment.ts";
import { type Nlvr, nlvrSpec } from "./nlvr.ts";
import { type Retrieval, retrievalSpec } from "./retrieval.ts";
import { type Vqa, vqaSpec } from "./vqa.ts";

/** The model of each task. */
export interface OfficialModels {
  /** All of ALBEF, as pre-trained. */
  readonly pretraining: Albef;
  /** Retrieval, COCO or Flickr30K. */
  readonly retrieval: Retrieval;
  /** Grounding (RefCOCO+), which fine-tunes the retrieval model. */
  readonly grounding: Retrieval;
  /** Visual question answering. */
  readonly vqa: Vqa;
  /** Reasoning over two images (NLVR2). */
  readonly nlvr: Nlvr;
  /** Visual entailment (SNLI-VE). */
  readonly entailment: Entailment;
}

/** How a checkpoint is loaded. */
export interface OfficialOptions {
  /**
   * How parameters are kept. With "f16" matrices take half the memory: they are rounded to 11 bits, and products with them are summed
   * up in f32. For inference. @default "f32"
   */
  readonly precision?: "f32" | "f16";
  /** The member of the file to read. Default: "model", or its only dict of tensors. */
  readonly key?: string;
  /** Draws the parameters that the file lacks. @default 0 */
  readonly seed?: number;
  /** Where the parameters go. Default: the default device. */
  readonly device?: Device;
}

interface OfficialTask {
  readonly spec: (config: AlbefConfig) => SpecTree;
  /** Names in the file, where they are not our own in every case. */
  readonly names?: (file: readonly string[], text: AlbefConfig["text"]) => NameTable;
  /** Begins the names of a head that only fine-tuned files have. */
  readonly head?: string;
}

/** Only fine-tuned models have a decoder. */
function namesForAnswers(file: readonly string[], { fusionLayer }: AlbefConfig["text"]): NameTable {
  return file.some((name) => name.startsWith("text_decoder.")) ? albefNames() : albefNamesForAnswers(fusionLayer);
}

/** Fusion layers are doubled in fine-tuned models, and in those pre-trained by text assignment. */
function namesForTwoImages(file: readonly string[], { fusionLayer, layers }: AlbefConfig["text"]): NameTable {
  const doubled = `encoder.layer.${layers}.`, prefixes = ["text_encoder.", "text_encoder.bert."];
  const isDoubled = file.some((name) => prefixes.some((prefix) => name.startsWith(prefix + doubled)));
  return isDoubled ? albefNamesOfTwoImages(fusionLayer, 2 * layers - fusionLayer) : albefNamesForTwoImages(fusionLayer);
}

const tasks: Readonly<Record<keyof OfficialModels, OfficialTask>> = {
  pretraining: { spec: albefSpec },
  retrieval: { spec: retrievalSpec },
  grounding: { spec: retrievalSpec },
  vqa: { spec: vqaSpec, names: namesForAnswers },
  nlvr: { spec: nlvrSpec, names: namesForTwoImages, head: "cls_head." },
  entailment: { spec: entailmentSpec, head: "cls_head." },
};

/** The tasks that {@linkcode loadOfficial} knows. */
export const officialTasks: readonly (keyof OfficialModels)[] = Object.keys(tasks) as (keyof OfficialModels)[];

/**
 * How `loadParameters` takes the parameters of a task from a file with these names, be it pre-trained or fine-tuned: its names, and the
 * head that it may lack.
 */
export function officialNames(task: keyof OfficialModels, file: readonly string[], { text }: AlbefConfig): LoadOptions {
  const { names = albefNames, head } = tasks[task], wrapper = wrapperOf(albefNames(), file);
  const bare = file.map((name) => name.slice(wrapper.length));
  const isFresh = head !== undefined && !bare.some((name) => name.startsWith(head));
  return { table: names(bare, text), resizePositions: true, allowMissing: isFresh ? [`${head}*`] : [] };
}

/**
 * Loads a `.pth` or `.safetensors` file of ALBEF or GRIT-VLP for a task, whether it was pre-trained or fine-tuned for it. As the
 * official code does: `bert.` in names may be there or not; the answer decoder of a pre-trained file begins as its fusion layers;
 * of each fusion layer two become the pair of NLVR2; position tables are resized to the resolution of `config`. Unlike it, all that
 * was left over is reported, and a parameter that is missing is an error, but for the head that pre-training has not.
 *
 * Parameters go to the GPU one at a time.
 *
 *     const config = { ...configs.base, vision: { ...configs.base.vision, resolution: 384 } };
 *     const { params, report } = await loadOfficial("ALBEF.pth", "vqa", config, { precision: "f16" });
 *     console.log(formatLoadReport(report));
 *
 * @returns The parameters, on the GPU, and what became of the names of model and file (see `formatLoadReport`).
 * @throws {RangeError} If a parameter is missing or has another shape, or f16 does not hold one of its values.
 * @throws {UnsupportedError} If f16 is asked for and the adapter has none.
 */
export async function loadOfficial<T extends keyof OfficialModels>(
  path: string,
  task: T,
  config: AlbefConfig,
  options: OfficialOptions = {},
): Promise<{ params: OfficialModels[T]; report: LoadReport }> {
  const { precision = "f32", seed = 0, device = await defaultDevice() } = options;
  if (!Object.hasOwn(tasks, task)) {
    throw new RangeError(`Cannot load "${path}": the task must be one of ${officialTasks.join(", ")}: it is "${task}"`);
  }
  if (precision === "f16" && !device.profile.f16) {
    throw new UnsupportedError(
      `Cannot keep parameters in half precision: the adapter "${device.adapter}" has no 16-bit floats (shader-f16): load them in f32`,
    );
  }
  const archive = await openCheckpoint(path, options.key === undefined ? {} : { key: options.key });
  try {
    const spec = tasks[task].spec(config), target = specEntries(spec).map(([name, own]) => [name, own.shape] as const);
    const names = officialNames(task, [...archive.tensors.keys()], config);
    const { tensors, report } = await planLoad(target, archive, names);
    const params = new Map<string, Tensor>();
    const put = async (name: string, shape: readonly number[], data: Float32Array): Promise<void> => {
      params.set(name, await onDevice(device, name, shape, data, precision));
    };
    for (const tensor of tensors) await put(tensor.name, tensor.shape, (await tensor.read()).data as Float32Array);
    for (const [stream, [name, own]] of specEntries(spec).entries()) {
      if (!params.has(name)) await put(name, own.shape, initialValues(own, seed, stream));
    }
    return { params: mapSpecs(spec, (_, name) => params.get(name)!) as unknown as OfficialModels[T], report };
  } finally {
    archive.close();
  }
}

/** A parameter on the GPU, and nowhere else. Vectors stay in f32: they are small, and kernels want them so. */
async function onDevice(
  device: Device,
  name: string,
  shape: readonly number[],
  data: Float32Array,
  precision: "f32" | "f16",
): Promise<Tensor> {
  const half = precision === "f16" && shape.filter((n) => n > 1).length > 1;
  const storage = await upload(device, half ? halfFloats(name, data) : data, `the parameter ${name}`);
  device.gpu.queue.submit([]); // frees what the driver keeps of the data until a submit
  return stored({ shape, dtype: half ? "f16" : "f32" }, storage);
}

/** Exponent bits that only infinities and NaN have all set. */
const NOT_FINITE = 0x7c00;

/** The bits of f16, rounded to the nearest. */
function halfFloats(name: string, data: Float32Array): Uint16Array {
  const bits = new Uint16Array(new Float16Array(data).buffer);
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i]! & NOT_FINITE) !== NOT_FINITE || !Number.isFinite(data[i])) continue;
    throw new RangeError(
      `Cannot keep ${name} in half precision: f16 holds numbers up to 65504: one is ${data[i]}; load it in f32`,
    );
  }
  return bits;
}
