/**
 * MUG (Zhao et al. 2024) on scenes: an encoder sees a quarter of each picture; one decoder paints the rest, another one writes the caption.
 * What is measured on held-out scenes: the error of hidden patches beside that of painting every patch in one colour, and the share of the
 * captions' tokens that are foretold rightly from whole pictures, from those with patches hidden as in training, and from blank ones.
 *
 *     deno run -A examples/mug.ts          appends a line to examples/results/mug.jsonl
 */
import * as gs from "../mod.ts";
import { commit } from "./_jobs.ts";
import { appendLine } from "./_lines.ts";
import { runCommand, say } from "./_run.ts";
import { noTuning } from "./_settings.ts";

const { count, fields, number, text, toggle } = gs.settings;
const declared = fields({
  scenes: count(2048, "training scenes", { min: 2 }),
  batch: count(32, "pairs of a mini-batch"),
  steps: count(1000, "optimizer steps"),
  lr: number(2e-3, "largest learning rate", { above: 0 }),
  hide: number(0.75, "share of a picture's patches that are hidden", { min: 0, max: 0.95 }),
  captionWeight: number(1, "weight of the caption; 0: pixels alone", { min: 0 }),
  pixelWeight: number(1, "weight of the pixels; 0: the caption alone", { min: 0 }),
  seed: count(1, "decides on everything random but the scenes", { min: 0 }),
  work: text("runs/mug", "folder for the scenes"),
  results: text("examples/results/mug.jsonl", "file that the result's line is appended to"),
  noTuning,
  help: toggle(false, "print this"),
});

type Figures = { wrong: gs.Tensor; pixel: gs.Tensor; even: gs.Tensor; tokens: gs.Tensor };

async function main(args: readonly string[]): Promise<void> {
  const options = gs.settings.readSettings(declared, { args }), { batch, steps, seed, work, hide, lr } = options;
  if (options.help) return console.log(gs.settings.formatHelp(declared));
  await gs.setUpAdapter({ tuning: !options.noTuning });
  const began = performance.now();
  await gs.writeScenes(work, { train: options.scenes, val: 256, test: 0, seed: 1 });
  const [train, val] = await Promise.all((["train", "val"] as const).map((split) => {
    const { captions, images } = gs.sceneFiles(work, split);
    return gs.openDataset({ data: [captions], images, groupBy: "image" });
  })) as [gs.CaptionDataset, gs.CaptionDataset];
  const captions = Array.from({ length: train.length }, (_, i) => train.entry(i).captions).flat();
  const tokenizer = gs.buildTokenizer(captions, { size: 256 }), { tiny } = gs.configs, { padId } = tokenizer;
  const vocabulary = Math.ceil(tokenizer.vocabularySize / 4) * 4;
  const config = { ...tiny, text: { ...tiny.text, vocabulary, padId } };
  const view = { resolution: config.vision.resolution, transform: "eval" } as const;
  const { captionWeight, pixelWeight } = options, own = { hide, captionWeight, pixelWeight };
  const objective = gs.mug.objective({ config, batch, textLength: 26, view, tokenizer }, own);
  await using loader = new gs.Loader(train, objective.collate, { seed, cacheBytes: 2 ** 27 });
  const { params, loss } = await gs.train(gs.shuffled(objective, { loader, batch, seed }), {
    steps,
    seed,
    learningRate: gs.warmup(Math.ceil(steps / 20), gs.cosineSchedule(lr, lr / 100, steps)),
    logEvery: Math.min(100, steps),
    progress: say,
  });

  /** Figures of the held-out scenes, of pictures with a share of the patches hidden. */
  const measure = async (share: number, blank = false): Promise<{ accuracy: number; pixel: number; even: number }> => {
    const pixels = { width: 64, depth: 2, heads: 2 }; // the recipe's defaults
    const run = gs.compile((p: gs.Mug, input: gs.PairBatch, words: gs.Tensor): Figures => {
      const given = gs.patched(input, config), patches = blank ? gs.multiply(given.patches, 0) : given.patches;
      const seen = gs.hidePatches(gs.randomKey(words), batch, patches.shape[1]!, share), context = { config };
      const states = gs.encodeSeen(p.visual_encoder, patches, seen, config.vision);
      const { queries, keys, bias } = gs.captionLogits(p, given, states, context), length = given.ids.shape[1]!;
      const next = gs.cast(gs.slice(given.ids, 1, 1, length), "i32"), isToken = gs.notEqual(next, padId);
      const told = gs.cast(gs.argmax(gs.add(gs.matmul(queries, keys, { transposeB: true }), bias!)), "i32");
      const painted = gs.paintPatches(p.pixel_decoder, states, seen, config.vision, pixels);
      return {
        wrong: gs.sum(gs.multiply(gs.notEqual(gs.reshape(told, next.shape), next), isToken)),
        tokens: gs.sum(isToken),
        pixel: gs.maskedPixelLoss(painted, patches, seen.hidden),
        even: gs.maskedPixelLoss(gs.multiply(painted, 0), patches, seen.hidden),
      };
    });
    const batches = Math.floor(val.length / batch), sums = { wrong: 0, tokens: 0, pixel: 0, even: 0 };
    await using held = new gs.Loader(val, objective.collate, { seed: 1 });
    const order = (k: number) => k < batches ? Int32Array.from({ length: batch }, (_, i) => k * batch + i) : undefined;
    for await (const { input, number } of held.batches(order, { epoch: 0 })) {
      const figures = await run(params, input, gs.tensor(Uint32Array.of(1, number)));
      for (const name of Object.keys(sums) as (keyof Figures)[]) sums[name] += await gs.item(figures[name]);
    }
    return { accuracy: 1 - sums.wrong / sums.tokens, pixel: sums.pixel / batches, even: sums.even / batches };
  };
  const hidden = await measure(hide), whole = await measure(0), blank = await measure(0, true);
  const result = {
    ...{ scenes: options.scenes, batch, steps, lr, ...own, seed, loss: { first: loss.first, last: loss.last } },
    pixel: { error: hidden.pixel, oneColour: hidden.even },
    captionAccuracy: { whole: whole.accuracy, hidden: hidden.accuracy, blank: blank.accuracy },
    seconds: (performance.now() - began) / 1000,
    command: ["deno run -A examples/mug.ts", ...args].join(" "),
    commit: await commit(),
    adapter: (await gs.defaultDevice()).adapter,
  };
  await appendLine(options.results, result);
  console.log(JSON.stringify(result));
}

if (import.meta.main) {
  await runCommand(main);
  Deno.exit(0); // workers of a driver may keep a process alive
}
