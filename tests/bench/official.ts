/**
 * A user's first minutes with an official checkpoint: a file of its names and shapes (random values) is loaded for a task and
 * gives one answer; times and memory.
 */
import { AnswerGenerator } from "../../src/eval/generate.ts";
import { rankAnswers } from "../../src/eval/answers.ts";
import { groundingMaps } from "../../src/eval/grounding_maps.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { albefPairs, imagePatches, type Tokens } from "../../src/models/albef.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { nlvrLogits } from "../../src/models/nlvr.ts";
import { loadOfficial, type OfficialModels } from "../../src/models/official.ts";
import { asMatcher } from "../../src/models/retrieval.ts";
import { compile, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import { byteLength, type Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import { writeOfficialPth } from "../io/official_pth.ts";
import { BASE, type Sizes } from "../io/shapes.ts";
import { round } from "./measure.ts";

/** Pixels that all official fine-tuning takes. */
const RESOLUTION = 384;

/** The model of a file, at a resolution of its own. */
export function officialConfig(sizes: Sizes, resolution: number): AlbefConfig {
  const heads = Math.max(2, sizes.text / 64);
  return {
    vision: { resolution, patch: sizes.patch, width: sizes.vision, depth: sizes.visionDepth, heads, eps: 1e-6 },
    text: {
      vocabulary: sizes.vocabulary,
      width: sizes.text,
      layers: sizes.textDepth,
      fusionLayer: sizes.fusion,
      heads,
      intermediate: sizes.ffn,
      maxPositions: sizes.positions,
      encoderWidth: sizes.vision,
      dropout: 0.1,
      eps: 1e-12,
      padId: 0,
    },
    embedding: sizes.embed,
  };
}

/** Tasks that give an answer. */
export type OfficialTask = "vqa" | "retrieval" | "nlvr" | "grounding";

/** How an answer is made. */
interface Answering {
  readonly config: AlbefConfig;
  readonly precision: "f32" | "f16";
  /** Answers to choose from; of the official list there are 3,128. */
  readonly candidates: number;
}

type Answers = Record<string, number[]>;

const bytes = ({ vision: { resolution } }: AlbefConfig, count: number): Tensor => {
  const words = Uint32Array.from({ length: count * resolution * resolution * 3 / 4 }, (_, i) => i * 2654435761);
  return tensor(words, [count, words.length / count]);
};

/** `count` texts of [CLS] and words. */
const tokens = ({ text: { vocabulary } }: AlbefConfig, count: number, length: number): Tokens => {
  const word = (i: number): number => 5 + i * 7919 % (vocabulary - 5);
  const ids = Uint32Array.from({ length: count * length }, (_, i) => i % length === 0 ? 2 : word(i));
  return { ids: tensor(ids, [count, length]), mask: tensor(new Float32Array(ids.length).fill(1), [count, length]) };
};

/** What answers once, and again with programs that are there. */
const answerers: Readonly<
  { [T in OfficialTask]: (params: OfficialModels[T], a: Answering) => Promise<() => Promise<Answers>> }
> = {
  async vqa(params, { config, candidates: count }) {
    const generator = new AnswerGenerator({ config, clsId: 2, sepId: 3 }), candidates = tokens(config, count, 6);
    const patch = compile((images: Tensor) => imagePatches(images, config.vision));
    const rank = compile((p: typeof params & Tree, q: Tokens & { patches: Tensor }, c: Tokens) => {
      const { answers, scores } = rankAnswers(p, q, c, { config });
      return { answers, scores };
    });
    const question = { ...tokens(config, 1, 12), patches: await patch(bytes(config, 1)) };
    await toDevice([question, candidates] as Tree);
    return async () => {
      const [written] = await generator.generate(params, question);
      const { answers, scores } = await rank(params, question, candidates), ranked = await toHost([answers, scores]);
      return { written: [...written![0]!.ids], likelihood: [written![0]!.logLikelihood], scores: [...ranked[1]!] };
    };
  },
  retrieval(params, { config }) {
    const model = albefPairs(config);
    const score = compile((p: typeof params & Tree, images: Tensor, { ids, mask }: Tokens) => {
      const matcher = asMatcher(p), image = model.image(matcher, images), text = model.text(matcher, { ids, mask });
      return {
        match: model.match(matcher, text.states, mask, image.states),
        image: image.features,
        text: text.features,
      };
    });
    const images = bytes(config, 1), text = tokens(config, 1, 12);
    return Promise.resolve(async () => {
      const { match, ...features } = await score(params, images, text);
      const [logit, image, words] = await toHost([match, features.image, features.text]);
      return { match: [...logit!], cosine: [[...image!].reduce((sum, x, i) => sum + x * words![i]!, 0)] };
    });
  },
  nlvr(params, { config }) {
    const judge = compile((p: typeof params & Tree, images: Tensor, text: Tokens) =>
      nlvrLogits(p, { ...text, patches: imagePatches(images, config.vision) }, { config })
    );
    const images = bytes(config, 2), text = tokens(config, 1, 12);
    return Promise.resolve(async () => ({ logits: [...await toHost(await judge(params, images, text))] }));
  },
  grounding(params, { config }) {
    const explain = compile((p: typeof params & Tree, images: Tensor, text: Tokens) =>
      groundingMaps(asMatcher(p), { ...text, patches: imagePatches(images, config.vision) }, { config }).map
    );
    const images = bytes(config, 1), text = tokens(config, 1, 12);
    return Promise.resolve(async () => ({ map: [...await toHost(await explain(params, images, text))] }));
  },
};

/** Times in milliseconds, memory in bytes. */
export interface OfficialLine {
  readonly task: OfficialTask;
  readonly precision: "f32" | "f16";
  readonly load_ms: number;
  /** Kernels compiled on the way. */
  readonly first_answer_ms: number;
  readonly answer_ms: number;
  /** GPU memory that parameters take, and the most that was ever in use. */
  readonly parameter_bytes: number;
  readonly gpu_peak_bytes: number;
  /** The most memory of the process, which on a software adapter holds the GPU's too. */
  readonly process_peak_bytes: number | null;
  readonly adapter: string;
}

/** Loads a file, answers twice. */
export async function answerFrom<T extends OfficialTask>(
  path: string,
  task: T,
  answering: Answering,
): Promise<{ line: OfficialLine; answers: Answers }> {
  const device = await defaultDevice(), { config, precision } = answering;
  const timed = async <R>(work: () => Promise<R>): Promise<[R, number]> => {
    const start = performance.now(), result = await work();
    return [result, round(performance.now() - start, 0)];
  };
  const [{ params }, load_ms] = await timed(() => loadOfficial(path, task, config, { precision }));
  const parameter_bytes = leaves(params as Tree).reduce((sum, t) => sum + byteLength(t), 0);
  const answer = await answerers[task](params, answering);
  const [, first_answer_ms] = await timed(answer), [answers, answer_ms] = await timed(answer);
  const line = {
    task,
    precision,
    load_ms,
    first_answer_ms,
    answer_ms,
    parameter_bytes,
    gpu_peak_bytes: device.memory.peak,
    process_peak_bytes: await processPeak(),
    adapter: device.adapter,
  };
  return { line, answers };
}

/** The most memory that this process ever had; null where the system does not say. */
async function processPeak(): Promise<number | null> {
  const status = await Deno.readTextFile("/proc/self/status").catch(() => "");
  const kibibytes = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
  return kibibytes === undefined ? null : 1024 * Number(kibibytes);
}

/** Writes a pre-trained file of the base model (ViT-B/16 at 256 pixels, BERT-base), and answers from it in a process of its own. */
export async function official(task: OfficialTask, precision: "f32" | "f16"): Promise<void> {
  if (!Object.hasOwn(answerers, task)) {
    throw new RangeError(
      `Cannot run the benchmark: the task must be one of ${Object.keys(answerers)}: it is "${task}"`,
    );
  }
  const folder = await Deno.makeTempDir(), path = `${folder}/pretrained.pth`;
  try {
    await writeOfficialPth(path, "pretrained", BASE);
    const args = ["run", "-A", "--no-lock", import.meta.filename!, path, task, precision];
    const { success } = await new Deno.Command("deno", { args, stdin: "null" }).spawn().status;
    if (!success) throw new Error("The process that answers failed");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [path, task, precision] = Deno.args as [string, OfficialTask, "f32" | "f16"];
  const config = officialConfig(BASE, RESOLUTION);
  const { line } = await answerFrom(path, task, { config, precision, candidates: 3128 });
  console.log(JSON.stringify(line));
  Deno.exit(0);
}
