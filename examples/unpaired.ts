/**
 * Can images and texts that were never paired teach a model which belong together (UVLP: Zhou et al. 2022)? Scenes are looked at as regions
 * with the names of their shapes; half of the scenes give images, the other half texts. `--pairs weak`: texts are found for images by tags;
 * `true`: the images' own captions; `random`: any texts, a control. What is measured is ITM's accuracy on held-out scenes, half of the pairs
 * false (chance: 50 %), beside that of regions without features and that of the tags alone, without a model.
 *
 *     deno run -A examples/unpaired.ts --pairs weak          appends a line to examples/results/unpaired.jsonl
 */
import * as gs from "../mod.ts";
import { commit } from "./_jobs.ts";
import { appendLine } from "./_lines.ts";
import { runCommand, say } from "./_run.ts";
import { noTuning } from "./_settings.ts";
import { heldOutMetrics } from "./_streams.ts";

const { count, fields, number, oneOf, text, toggle } = gs.settings;
const declared = fields({
  pairs: oneOf(["weak", "true", "random"], "weak", "which texts images are shown with"),
  top: count(5, "texts that are found for an image"),
  scenes: count(4096, "scenes: half of them give images, half texts", { min: 4 }),
  batch: count(32, "pairs of a mini-batch"),
  steps: count(1200, "optimizer steps"),
  lr: number(1e-3, "largest learning rate", { above: 0 }),
  filterFrom: count(2, "epoch, from 0, from which on the model weighs pairs by its own judgement", { min: 0 }),
  seed: count(1, "decides on everything random but the scenes", { min: 0 }),
  work: text("runs/unpaired", "folder for the scenes"),
  results: text("examples/results/unpaired.jsonl", "file that the result's line is appended to"),
  noTuning,
  help: toggle(false, "print this"),
});
const names = gs.SCENE_REGION_CLASSES, named = gs.naming(names);

/** Images with their regions and captions, in order. */
async function openSplit(folder: string, split: "train" | "val") {
  const files = gs.sceneFiles(folder, split);
  const captions = await gs.openDataset({ data: [files.captions], images: files.images, groupBy: "image" });
  const source = await gs.openRegions(await gs.writeSceneRegions(files), names.length);
  const { images } = JSON.parse(await Deno.readTextFile(files.facts)) as {
    images: { image_id: number; objects: gs.Scene }[];
  };
  return { captions, source, pairs: gs.withRegions(captions, source), scenes: images.map(({ objects }) => objects) };
}

/** Some of the examples, with what is changed of each. */
function part<E extends gs.Example>(base: gs.Dataset<E>, length: number, change = (e: E, _: gs.Random): E => e) {
  const example = async (i: number, random: gs.Random) => change(await base.example(i, random), random);
  return { name: base.name, skipped: [], length, example } satisfies gs.Dataset<E>;
}

/** The share of pairs that a rule without a model judges rightly: a text is of an image if all shapes that it names are there. */
async function tagsAlone({ pairs }: Awaited<ReturnType<typeof openSplit>>): Promise<number> {
  const all = await Promise.all(Array.from({ length: pairs.length }, (_, i) => pairs.example(i, new gs.Random(i))));
  const fits = (a: gs.RegionPair, b: gs.RegionPair) =>
    gs.namedClasses(a.caption, named).every((id) => b.regions.classes!.includes(id));
  const right = all.map((pair, i) => Number(fits(pair, pair)) + Number(!fits(pair, all[(i + 1) % all.length]!)));
  return right.reduce((a, b) => a + b) / 2 / all.length;
}

async function main(args: readonly string[]): Promise<void> {
  const options = gs.settings.readSettings(declared, { args }), { top, batch, steps, seed, work, scenes } = options;
  if (options.help) return console.log(gs.settings.formatHelp(declared));
  await gs.setUpAdapter({ tuning: !options.noTuning });
  const began = performance.now(), half = scenes >> 1;
  await gs.writeScenes(work, { train: scenes, val: 256, test: 0, seed: 1 });
  const train = await openSplit(work, "train"), val = await openSplit(work, "val");
  const entries = Array.from({ length: half }, (_, i) => train.captions.entry(i));
  const texts = Array.from({ length: half }, (_, i) => train.captions.entry(half + i).captions).flat();
  const shuffled = new gs.Random(seed).shuffle([...texts]);
  const weak = await gs.weakPairs(
    entries.map(({ image, imageId }) => ({ path: image, id: imageId })),
    train.source,
    shuffled,
    { names, top },
  );
  const any = (pair: gs.RegionPair, random: gs.Random) => ({ ...pair, caption: random.pick(shuffled) });
  const shown = { weak, true: part(train.pairs, half), random: part(train.pairs, half, any) }[options.pairs];
  const holds = await shareThatHolds(shown, entries.map(({ imageId }) => imageId), train.scenes);

  const tokenizer = gs.buildTokenizer([...texts, ...names], { size: 256 }), { tiny } = gs.configs;
  const vocabulary = Math.ceil(tokenizer.vocabularySize / 4) * 4;
  const config = { ...tiny, text: { ...tiny.text, vocabulary, padId: tokenizer.padId } };
  const regions = { most: 4, width: train.source.width, classes: names.length, names };
  const view = { resolution: 64, transform: "eval" } as const;
  const objective = gs.uvlp.objective({ config, batch, textLength: 24, view, tokenizer, regions }, {
    filterFrom: options.filterFrom,
  });
  await using loader = new gs.Loader(shown, objective.collate, { seed });
  const { params, loss } = await gs.train(gs.shuffled(objective, { loader, batch, seed }), {
    steps,
    seed,
    learningRate: gs.warmup(Math.ceil(steps / 20), gs.cosineSchedule(options.lr, options.lr / 100, steps)),
    logEvery: Math.min(100, steps),
    progress: say,
  });
  const accuracy = async (dataset: gs.Dataset<gs.RegionPair>) =>
    (await heldOutMetrics(objective, dataset, batch).evaluate(params))["heldOut/itmAccuracy"]!;
  const blind = (pair: gs.RegionPair) => {
    const { regions } = pair;
    return { ...pair, regions: { ...regions, features: new Float32Array(regions.features.length) } };
  };
  const { pairs, filterFrom, lr } = options;
  const result = {
    ...{ pairs, top, filterFrom, scenes, batch, steps, lr, seed, pairsThatAreTrue: holds },
    itmAccuracy: await accuracy(val.pairs),
    blind: await accuracy(part(val.pairs, val.pairs.length, blind)),
    tagsAlone: await tagsAlone(val),
    loss: loss.last,
    seconds: (performance.now() - began) / 1000,
    command: ["deno run -A examples/unpaired.ts", ...args].join(" "),
    commit: await commit(),
    adapter: (await gs.defaultDevice()).adapter,
  };
  await appendLine(options.results, result);
  console.log(JSON.stringify(result));
}

/** The share of the pairs, one drawn for each image, whose text is true of its image. */
async function shareThatHolds(
  pairs: gs.Dataset<gs.RegionPair>,
  ids: readonly number[],
  scenes: readonly gs.Scene[],
): Promise<number> {
  const at = new Map(ids.map((id, i) => [id, i]));
  const drawn = await Promise.all(Array.from({ length: pairs.length }, (_, i) => pairs.example(i, new gs.Random(i))));
  const holds = drawn.filter(({ caption, imageId }) => gs.captionHolds(caption, scenes[at.get(imageId)!]!));
  return holds.length / drawn.length;
}

if (import.meta.main) {
  await runCommand(main);
  Deno.exit(0); // workers of a driver may keep a process alive
}
