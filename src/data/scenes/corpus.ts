/**
 * A world of texts about scenes: descriptions with questions, stories, sentences, facts; and tasks that show what was learned of it.
 *
 * @module
 */
import { writeFileAtomic } from "../../io/atomic.ts";
import { Random } from "../../random/random.ts";
import { captionScene } from "./language.ts";
import { claimFolder, finishFolder } from "./manifest.ts";
import { values } from "./nouns.ts";
import { resolveSceneOptions, type SceneOptions } from "./options.ts";
import { drawQuestions } from "./questions.ts";
import { agreement, asked, type Cloze, fact, inverse, predicate, tellStory } from "./stories.ts";
import { drawScenes, type Kinds, type Scene } from "./world.ts";

/** Options of a world of texts. */
export interface SceneTextOptions extends Pick<SceneOptions, "seed" | "objects" | "colors" | "shapes"> {
  /** Number of training texts. @default 20000 */
  readonly train?: number;
  /** Number of held-out texts. @default 512 */
  readonly val?: number;
  /** Number of each kind of cloze tasks. @default 256 */
  readonly cloze?: number;
}

/** Where the texts are. */
export interface SceneTextFiles {
  /** JSON lines with `text` and `kind`. */
  readonly train: string;
  /** The same. */
  readonly val: string;
  /** JSON lines of {@linkcode ClozeTask}. */
  readonly cloze: string;
}

/** A cloze task: guessing is right once in as many times as there are options. */
export interface ClozeTask extends Cloze {
  /** Agreement of a verb with a noun further back, the other way round, who has what in a story, what a description says. */
  readonly task: "agreement" | "inverse" | "tracking" | "reading";
}

/** The paths in a folder of texts. */
export function sceneTextFiles(folder: string): SceneTextFiles {
  return { train: `${folder}/texts-train.jsonl`, val: `${folder}/texts-val.jsonl`, cloze: `${folder}/cloze.jsonl` };
}

/** Of 20 texts so many are of each kind. */
const SHARES = { reading: 9, story: 5, sentences: 4, facts: 2 };

/**
 * Makes a world of texts in the language of scenes, without pictures:
 *
 * - descriptions (captions of scenes) with questions that they answer, as the questions about pictures are asked;
 * - stories in which things change hands, with a question;
 * - sentences whose verb agrees with a noun that up to three others separate from it, and pairs of sentences in which a relation is turned round;
 * - facts about shapes and colours.
 *
 * Cloze tasks have scenes, and pairs of nouns, that no training text has. What is written follows from the options alone; a folder that
 * already holds these texts is left as it is, one that was left unfinished is written again.
 *
 * @returns Whether the texts had to be written.
 * @throws {RangeError} If an option is outside its range or the world has too few scenes.
 * @throws {Error} If the folder holds anything else.
 */
export async function writeSceneTexts(folder: string, options: SceneTextOptions = {}): Promise<boolean> {
  const { train = 20000, val = 512, cloze = 256, ...world } = options;
  for (const [name, value] of Object.entries({ train, val, cloze })) {
    if (Number.isInteger(value) && value >= 1 && value <= 1e7) continue;
    throw new RangeError(`Cannot make texts: "${name}" is ${value}, but it must be a whole number from 1 to 1e7`);
  }
  const { seed, objects, colors, shapes } = resolveSceneOptions(world), kinds: Kinds = { objects, colors, shapes };
  const manifest = { format: "gritstone-scene-texts", version: 1, train, val, cloze, seed, ...kinds };
  const described = (count: number) => Math.ceil(count * SHARES.reading / 20);
  const counts = { train: described(train), val: described(val), test: 4 * cloze };
  const scenes = drawScenes({ seed, counts, twins: 0, ...kinds });
  if (!await claimFolder(folder, manifest)) return false;
  await Deno.mkdir(folder, { recursive: true });
  const files = sceneTextFiles(folder), root = new Random(seed).fork(TEXTS);
  const lines = (rows: Iterable<unknown>) => [...rows].map((row) => JSON.stringify(row)).join("\n") + "\n";
  await writeFileAtomic(files.train, lines(texts(scenes.train, train, kinds, false, root.fork(0))));
  await writeFileAtomic(files.val, lines(texts(scenes.val, val, kinds, true, root.fork(1))));
  await writeFileAtomic(files.cloze, lines(clozeTasks(scenes.test, cloze, kinds, root.fork(2))));
  await finishFolder(folder, manifest);
  return true;
}

/** Number of the texts' random stream, after those of the splits and of detections. */
const TEXTS = 5;

/** Texts of all kinds, in random order; a description for each scene. */
function texts(scenes: readonly Scene[], count: number, kinds: Kinds, heldOut: boolean, random: Random) {
  const readings = describe(scenes, kinds, random.fork(0)).map((text) => ({ kind: "reading", text }));
  const others = Object.entries(SHARES).slice(1).flatMap(([kind, share]) => Array<string>(share).fill(kind));
  const rest = Array.from({ length: count - readings.length }, (_, i) => {
    const kind = others[i % others.length]!, own = random.fork(1, i);
    return { kind, text: written[kind as keyof typeof written](kinds, heldOut, own) };
  });
  return random.fork(2).shuffle([...readings, ...rest]);
}

/** Texts that need no scene. */
const written = {
  story(kinds: Kinds, _: boolean, random: Random): string {
    const { prefix, options, answer } = tellStory(kinds, random);
    return `${prefix}${options[answer]}.`;
  },
  sentences(kinds: Kinds, heldOut: boolean, random: Random): string {
    const sentence = (own: Random) => {
      const turned = own.below(3) === 0,
        { prefix, options, answer } = (turned ? inverse : agreement)(kinds, heldOut, own);
      return `${prefix}${options[answer]}${turned ? "" : predicate(kinds, own)}`;
    };
    return Array.from({ length: 3 }, (_, i) => sentence(random.fork(i))).join(" ");
  },
  facts(kinds: Kinds, _: boolean, random: Random): string {
    return Array.from({ length: 4 }, (_, i) => fact(kinds, random.fork(i))).join(" ");
  },
};

/** A description of each scene, with the questions that were drawn for it and that its words answer: not those for places. */
function describe(scenes: readonly Scene[], kinds: Kinds, random: Random): string[] {
  const questions = drawQuestions(scenes, kinds, random.fork(0)).filter(({ type }) => type !== "relation");
  const of = Map.groupBy(questions, ({ scene }) => scene);
  return scenes.map((scene, i) => {
    const own = random.fork(1, i), [caption] = captionScene(scene, 1, own);
    const some = own.shuffle([...of.get(i) ?? []]).map(({ text, answer }) => asked(text, answer));
    return [`${caption}.`, ...some].join(" ");
  });
}

function* clozeTasks(scenes: readonly Scene[], count: number, kinds: Kinds, random: Random): Generator<ClozeTask> {
  const readable = scenes.filter((scene) => new Set(scene.map(({ shape }) => shape)).size === scene.length);
  for (let i = 0; i < count; i++) {
    yield { task: "agreement", ...agreement(kinds, true, random.fork(0, i)) };
    yield { task: "inverse", ...inverse(kinds, true, random.fork(1, i)) };
    yield { task: "tracking", ...tellStory(kinds, random.fork(2, i)) };
    yield { task: "reading", ...reading(readable[i % readable.length]!, kinds, random.fork(3, i)) };
  }
}

/** What colour something of a description has: one of two colours of the world, both of which the description may name. */
function reading(scene: Scene, kinds: Kinds, random: Random): Cloze {
  const [caption] = captionScene(scene, 1, random), { shape, color } = random.pick(scene);
  const named = scene.map((object) => object.color).filter((other) => other !== color);
  const other = random.pick(named.length ? named : values(kinds).colors.filter((c) => c !== color));
  const options = random.shuffle([color, other]);
  return {
    prefix: `${caption}. ${asked(`what color is the ${shape}?`)}`,
    options: options.map((c) => ` ${c}.`),
    answer: options.indexOf(color),
  };
}

/**
 * The cloze tasks of a file.
 *
 * @throws {SyntaxError} If a line is none: the message names the line.
 */
export async function readClozeTasks(file: string): Promise<ClozeTask[]> {
  const lines = (await Deno.readTextFile(file)).split("\n").filter((line) => line);
  return lines.map((line, i) => {
    const task = JSON.parse(line) as ClozeTask, { prefix, options, answer } = task;
    if (typeof prefix === "string" && Array.isArray(options) && typeof options[answer] === "string") return task;
    throw new SyntaxError(
      `Cannot read "${file}": line ${i + 1} must have "prefix", "options" and "answer", an index of them`,
    );
  });
}
