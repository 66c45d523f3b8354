/** What is learned and what is asked: texts and pictures of one small world, and the sizes of a budget. */
import {
  asked,
  buildTextTokenizer,
  type CaptionDataset,
  type ClozeTask,
  type Conversation,
  type DecoderConfig,
  imageTokenCount,
  openDataset,
  placeWords,
  Random,
  readClozeTasks,
  readTexts,
  type Scene,
  type SceneOptions,
  sceneTextFiles,
  taskSceneFiles,
  type TextTokenizer,
  type TowerConfig,
  type VisionLanguageConfig,
  writeSceneTexts,
  writeTaskScenes,
} from "../../mod.ts";
import type { Curve } from "./schedule.ts";
import { writeInterleaved } from "./variant.ts";

/** Sizes of an experiment. */
export interface Budget {
  /** What scenes are made of. */
  readonly kinds: Required<Pick<SceneOptions, "objects" | "colors" | "shapes">>;
  /** Training texts, training scenes, scenes that are held out. */
  readonly texts: number;
  readonly scenes: number;
  readonly heldOut: number;
  /** Scenes that instruction tuning asks about, the first of the training scenes. */
  readonly tuneScenes: number;
  /** Questions of each kind that a model is asked at a time, and cloze tasks of each kind. */
  readonly questions: number;
  readonly vocabulary: number;
  readonly decoder: Pick<DecoderConfig, "width" | "layers" | "heads" | "hidden">;
  readonly encoder: Pick<TowerConfig, "resolution" | "patch" | "width" | "depth" | "heads">;
  /** Steps and pairs of a mini-batch of the encoder's own training. */
  readonly encoderSteps: number;
  readonly encoderBatch: number;
  /** Rows of a mini-batch and their tokens. */
  readonly batch: number;
  readonly length: number;
  /** The main run on texts. */
  readonly main: Curve;
  /** Steps B of a branch, and what the finished run's branch warms up to. */
  readonly branchSteps: number;
  readonly rewarm: number;
  /** Largest rate of instruction tuning, and its epochs. */
  readonly tuneRate: number;
  readonly epochs: number;
}

const scenes: Budget = {
  kinds: { objects: [1, 3], colors: 4, shapes: 4 },
  texts: 30000,
  scenes: 4096,
  heldOut: 256,
  tuneScenes: 1536,
  questions: 128,
  vocabulary: 512,
  decoder: { width: 128, layers: 4, heads: 4, hidden: 384 },
  encoder: { resolution: 66, patch: 22, width: 96, depth: 3, heads: 4 }, // a patch for each cell of the scenes' grid
  encoderSteps: 800,
  encoderBatch: 64,
  batch: 32,
  length: 128,
  main: { steps: 1500, warmup: 75, rate: 3e-3, floor: 3e-5 },
  branchSteps: 200,
  rewarm: 0.5,
  tuneRate: 1e-3,
  epochs: 4,
};

/** The budgets; `quick` shows that everything runs, its figures mean nothing; `chat` is for one model that is tuned long. */
export const budgets: Readonly<Record<"scenes" | "quick" | "chat", Budget>> = {
  scenes,
  chat: { ...scenes, texts: 8000, tuneScenes: scenes.scenes, tuneRate: 2e-3, epochs: 8 },
  quick: {
    kinds: { objects: [1, 2], colors: 3, shapes: 3 },
    texts: 1000,
    scenes: 96,
    heldOut: 32,
    tuneScenes: 32,
    questions: 16,
    vocabulary: 384,
    decoder: { width: 32, layers: 2, heads: 2, hidden: 64 },
    encoder: { resolution: 32, patch: 16, width: 32, depth: 1, heads: 2 },
    encoderSteps: 20,
    encoderBatch: 16,
    batch: 8,
    length: 96,
    main: { steps: 50, warmup: 5, rate: 5e-3, floor: 5e-5 },
    branchSteps: 10,
    rewarm: 0.5,
    tuneRate: 2e-3,
    epochs: 1,
  },
};

/** A question about a picture that is held out. */
export interface Question {
  readonly image: string;
  readonly question: string;
  readonly answer: string;
  /** All answers that a question of its kind can have. */
  readonly options: readonly string[];
}

/** Everything that runs share. */
export interface World {
  readonly budget: Budget;
  readonly tokenizer: TextTokenizer;
  /** Sizes of the models; the main run has no image prefix. */
  readonly config: VisionLanguageConfig & Required<Pick<VisionLanguageConfig, "image">>;
  readonly imageTokens: number;
  readonly texts: readonly string[];
  readonly heldTexts: readonly string[];
  readonly cloze: readonly ClozeTask[];
  /** Pictures with captions, for branches. */
  readonly pairs: CaptionDataset;
  /** File of documents in which texts and pictures alternate. */
  readonly interleaved: string;
  readonly conversations: readonly Conversation[];
  /** Questions and answers of the training scenes. */
  readonly trainQuestions: Readonly<Record<"vqa" | "where", readonly Question[]>>;
  /** Those of scenes that are held out. */
  readonly questions: Readonly<Record<"vqa" | "where", readonly Question[]>>;
  /** Pictures that are held out, with what they show. */
  readonly pictures: readonly { readonly image: string; readonly scene: Scene }[];
}

/** What a picture is described after. */
export const DESCRIBE = "describe the picture.";

/** Questions of a conversation at most: rows are short. */
const TURNS = 4;

/** Makes the world in a folder, unless it is there, and reads it. */
export async function openWorld(folder: string, budget: Budget): Promise<World> {
  const { kinds, heldOut, questions, encoder, decoder } = budget, seed = 1, textFolder = `${folder}/texts`;
  await writeSceneTexts(textFolder, { train: budget.texts, val: heldOut, cloze: questions, seed: 2, ...kinds });
  const scenes = { val: 0, test: heldOut, size: encoder.resolution, seed, ...kinds };
  await writeTaskScenes(`${folder}/scenes`, { train: budget.scenes, ...scenes });
  const files = sceneTextFiles(textFolder),
    read = async (file: string) => (await Array.fromAsync(readTexts({ data: [file] }))).flat();
  const texts = await read(files.train), train = await readScenes(`${folder}/scenes`, "train");
  const test = await readScenes(`${folder}/scenes`, "test"),
    tuned = new Set(train.pictures.slice(0, budget.tuneScenes).map((p) => p.image));
  const { captions, images } = taskSceneFiles(`${folder}/scenes`, "train");
  const pairs = await openDataset({ data: [captions], images }), interleaved = `${folder}/interleaved.jsonl`;
  await writeInterleaved(interleaved, pairs, texts);
  const told = Array.from({ length: Math.min(2000, pairs.length) }, (_, i) => pairs.entry(i).captions[0]!);
  const asks = [...train.vqa, ...train.where].slice(0, 4000).map(({ question, answer }) => asked(question, answer));
  const tokenizer = buildTextTokenizer([...texts.slice(0, 8000), ...told, ...asks], { size: budget.vocabulary });
  const image = { imageToken: tokenizer.imageId, encoder: { eps: 1e-6, init: 0.07, ...encoder } };
  const among = ({ image }: Question) => tuned.has(image),
    trainQuestions = { vqa: train.vqa.filter(among), where: train.where.filter(among) };
  return {
    budget,
    tokenizer,
    config: {
      decoder: {
        vocabulary: Math.ceil(tokenizer.vocabularySize / 4) * 4,
        maxPositions: 2 * budget.length,
        normBias: false,
        qkNorm: true,
        ...decoder,
      },
      image,
    },
    imageTokens: imageTokenCount(image),
    texts,
    heldTexts: await read(files.val),
    cloze: await readClozeTasks(files.cloze),
    pairs,
    interleaved,
    conversations: conversationsOf([...trainQuestions.vqa, ...trainQuestions.where], pairs, tuned),
    trainQuestions,
    questions: { vqa: test.vqa.slice(0, questions), where: test.where.slice(0, questions) },
    pictures: test.pictures.slice(0, questions),
  };
}

/** Rows of a JSON list. */
async function rows<T>(file: string): Promise<T[]> {
  return JSON.parse(await Deno.readTextFile(file));
}

/** Questions and pictures of a split. */
async function readScenes(folder: string, split: "train" | "test") {
  const files = taskSceneFiles(folder, split), inFolder = (name: string) => `${files.images}/${name}`;
  type Facts = { images: { file_name: string; image_id: number; objects: Scene }[] };
  const { images } = JSON.parse(await Deno.readTextFile(files.facts)) as Facts;
  const all = await rows<string>(files.answers), numbers = all.filter((a) => /^\d+$/.test(a)), yesNo = ["yes", "no"];
  const colors = all.filter((a) => !numbers.includes(a) && !yesNo.includes(a));
  const options: Record<string, string[]> = { existence: yesNo, relation: yesNo, count: numbers, color: colors };
  type Asked = { image: string; question: string; question_type: string; answer: string[] };
  const vqa = (await rows<Asked>(files.questions)).map((row): Question => ({
    image: inFolder(row.image),
    question: row.question,
    answer: row.answer[0]!,
    options: options[row.question_type]!,
  }));
  const places = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => placeWords({ row, column })[0]!));
  const sceneOf = new Map(images.map(({ image_id, objects }) => [image_id, objects]));
  type Referred = { image: string; text: string; ref_id: number; image_id: number };
  const where = (await rows<Referred>(files.expressions)).map(({ image, text, ref_id, image_id }): Question => ({
    image: inFolder(image),
    question: `where is ${text}?`,
    answer: placeWords(sceneOf.get(image_id)![ref_id % 10]!)[0]!,
    options: places,
  }));
  const pictures = images.map(({ file_name, objects }) => ({ image: inFolder(file_name), scene: objects }));
  const mixed = new Random(1); // files have one kind of questions after the other
  return { vqa: mixed.shuffle(vqa), where: mixed.shuffle(where), pictures };
}

/** LLaVA's kind of data: a few questions about each picture, one of which asks for a description. */
function conversationsOf(
  questions: readonly Question[],
  pairs: CaptionDataset,
  images: ReadonlySet<string>,
): Conversation[] {
  const by = Map.groupBy(questions, ({ image }) => image);
  return Array.from({ length: pairs.length }, (_, i) => pairs.entry(i)).filter(({ image }) => images.has(image))
    .flatMap(({ image, captions }, i) => {
      const own = [...by.get(image) ?? []].map(({ question, answer }) => ({ question, answer }));
      own.splice(i % (own.length + 1), 0, { question: DESCRIBE, answer: captions[0]! });
      const chunks = Array.from(
        { length: Math.ceil(own.length / TURNS) },
        (_, k) => own.slice(k * TURNS, (k + 1) * TURNS),
      );
      return chunks.map((chunk): Conversation => ({
        images: [image],
        turns: chunk.flatMap(({ question, answer }, k) => [
          { from: "human", value: `${k ? "" : "<image> "}${asked(question)}` } as const,
          { from: "gpt", value: `${answer}.` } as const,
        ]),
      }));
    });
}
