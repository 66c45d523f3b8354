/** Training: the main run on texts, the encoder, a branch and its instruction tuning. */
import {
  buildTokenizer,
  configs,
  conversationSource,
  grit,
  initialize,
  listCheckpoints,
  lm,
  Loader,
  Mixer,
  type SequenceBatchOptions,
  type SequenceSource,
  SequenceStream,
  shuffled,
  textSource,
  train,
  type VisionLanguage,
  type VisionLanguageConfig,
} from "../../mod.ts";
import { viewOf } from "./ask.ts";
import type { Judge } from "./judge.ts";
import type { Run } from "./plan.ts";
import type { Epoch, Measured } from "./result.ts";
import { branchRates, curveRate } from "./schedule.ts";
import { scoresOf } from "./scores.ts";
import { branchStages, imageParts, INTERLEAVED_IMAGES, tuneFreeze } from "./variant.ts";
import { completed, only, parametersOf, readValues, type Values, valuesOf, writeValues } from "./values.ts";
import type { World } from "./world.ts";

/** Where branches may leave the main run, as shares of its steps. */
export const STARTS = [0, 0.2, 0.4, 0.6, 0.8, 1] as const;

type Say = (line: string) => void;

/** What all trainings share: AdamW as OpenLM's, gradients clipped. */
const usual = { adamw: { beta1: 0.9, beta2: 0.95, weightDecay: 0.1 }, clip: 1 } as const;

/** The file of the main run's parameters at a start. */
const startFile = (folder: string, start: number) => `${folder}/start-${Math.round(100 * start)}.safetensors`;

/**
 * The main run on texts alone, up to the last of the starts; its parameters at every start before are kept in `folder`. A run that was
 * broken off, or ended at an earlier start, goes on at its last checkpoint.
 */
export async function mainRun(
  world: World,
  { seed, starts }: { readonly seed: number; readonly starts: readonly number[] },
  folder: string,
  say: Say,
): Promise<void> {
  const { budget: { main, batch, length }, config: { decoder }, tokenizer, texts } = world,
    { spec } = objectiveOf(world, { decoder }, 0);
  const keep = async (start: number, values: () => Promise<Values>): Promise<void> => {
    if (!await exists(startFile(folder, start))) await writeValues(startFile(folder, start), spec, await values());
  };
  await Deno.mkdir(folder, { recursive: true });
  await keep(0, () => valuesOf(spec, initialize(spec, seed)));
  const last = Math.max(...starts);
  if (await exists(startFile(folder, last))) return;
  const stream = streamOf(world, [{ source: textSource(texts, { tokenizer, seed }), share: 1 }], 0, seed);
  const every = main.steps / (STARTS.length - 1), run = `${folder}/run`;
  const resume = (await listCheckpoints(run).catch((): string[] => [])).length > 0;
  await train({
    ...lm.objective({ config: { decoder }, batch, length }),
    data: stream,
    evaluate: async (params, step) => {
      await keep(step / main.steps, () => valuesOf(spec, params));
      return {};
    },
  }, {
    ...usual,
    steps: last * main.steps,
    extendable: true, // the rate is the main run's, wherever it ends
    seed,
    learningRate: (step) => curveRate(main, step),
    out: run,
    checkpointEvery: every,
    evaluateEvery: every,
    logEvery: Math.min(50, every),
    progress: say,
    ...(resume ? { resume } : { overwrite: true }),
  });
}

/**
 * The image encoder, trained once by the contrastive loss of pairs; under the names that a model with an image prefix has. It is grit's
 * without matching and without constant keys: SigLIP's sigmoid, from random values and with mini-batches so small, learns nothing.
 */
export async function encoder(world: World, folder: string, say: Say): Promise<Values> {
  const { budget: { encoderSteps: steps, encoderBatch: batch }, config: { image }, pairs } = world,
    path = `${folder}/encoder.safetensors`;
  if (!await exists(path)) {
    await Deno.mkdir(folder, { recursive: true });
    const captions = Array.from({ length: Math.min(2000, pairs.length) }, (_, i) => pairs.entry(i).captions).flat();
    const tokenizer = buildTokenizer(captions, { size: 256 }), { tiny } = configs;
    const vision = { ...tiny.vision, ...image.encoder };
    const text = {
      ...tiny.text,
      vocabulary: Math.ceil(tokenizer.vocabularySize / 4) * 4,
      padId: tokenizer.padId,
      encoderWidth: vision.width,
    };
    const objective = grit.objective(
      { config: { ...tiny, vision, text }, batch, textLength: 26, view: viewOf(world), tokenizer },
      { itmWeight: 0, consistency: 0, detachKeys: false },
    );
    await using loader = new Loader(pairs, objective.collate, { seed: 0, cacheBytes: 2 ** 28 });
    const curve = { steps, warmup: Math.ceil(steps / 20), rate: 3e-3, floor: 3e-5 };
    const { params } = await train(shuffled(objective, { loader, batch }), {
      steps,
      learningRate: (step) => curveRate(curve, step),
      logEvery: Math.min(50, steps),
      progress: say,
    });
    await writeValues(path, objective.spec, await valuesOf(objective.spec, params));
  }
  const own = "visual_encoder.", values = await readValues(path);
  return new Map(
    [...values].filter(([name]) => name.startsWith(own)).map((
      [name, v],
    ) => [`vision_backbone.featurizer.${name.slice(own.length)}`, v]),
  );
}

/** What a run needs beside the world. */
export interface RunContext {
  readonly world: World;
  readonly judge: Judge;
  readonly encoder: Values;
  /** Folder of the main run of its seed. */
  readonly main: string;
  /** Folder for its own model. */
  readonly out: string;
  /** Parts that stay as they are in branches and tuning. */
  readonly freeze: readonly string[];
  readonly say: Say;
}

/** A branch with images, or with texts alone, then instruction tuning; asked before it and after each of its epochs. */
export async function branchRun(run: Run, context: RunContext): Promise<Measured> {
  const { world, judge, encoder, say } = context, { budget } = world, began = performance.now();
  const start = await readValues(startFile(context.main, run.start)), given = new Map([...start, ...encoder]);
  const branch = await branchOff(run, context, given);
  const { spec } = objectiveOf(world, world.config, 1), epochs: Epoch[] = [];
  const whole = await completed(spec, run.seed, new Map([...given, ...branch.values]));
  const ask = async (epoch: number, params: VisionLanguage): Promise<void> => {
    const { loss, ...figures } = await judge.figures(params);
    epochs.push({ epoch, loss, ...figures, scores: scoresOf(figures) });
    say(`epoch ${epoch}: ${JSON.stringify(epochs.at(-1)!.scores)}`);
  };
  await ask(0, parametersOf(spec, whole));
  const tuned = await tune(run, context, whole, ask);
  return {
    ...run,
    steps: { main: budget.main.steps, branch: budget.branchSteps, tune: tuned.steps },
    tokens: branch.tokens,
    losses: { branch: branch.loss, tune: tuned.loss },
    epochs,
    seconds: (performance.now() - began) / 1000,
  };
}

async function branchOff(run: Run, { world, freeze, say }: RunContext, given: Values) {
  const { start, share, captions, seed } = run, { budget, tokenizer, imageTokens, texts } = world;
  const { main, branchSteps, rewarm } = budget;
  const sequence = { tokenizer, imageTokens, maxLength: budget.length }, own = seed + 1000; // other documents first than in the main run
  const images = Math.ceil(share * budget.batch * budget.length / (imageTokens + LEAST_CAPTION)) +
    (share ? INTERLEAVED_IMAGES : 0);
  const config = share ? world.config : { decoder: world.config.decoder };
  const rates = branchRates(main, { start, steps: branchSteps, rewarm });
  let values = given, before: ReturnType<SequenceStream["save"]> | undefined, last = NaN, tokens = {};
  for (const { from, to, freeze: fixed } of branchStages(run, branchSteps, freeze)) {
    const stream = streamOf(
      world,
      [
        { source: textSource(texts, { tokenizer, seed: own }), share: 1 - share },
        ...imageParts(run, world, { ...sequence, seed: own, captions }),
      ],
      images,
      own,
    );
    if (before) stream.restore(new Map(Object.entries(before)));
    const objective = objectiveOf(world, config, images, fixed);
    const { params, loss } = await train({ ...objective, data: stream }, {
      ...usual,
      steps: to - from,
      seed,
      learningRate: (step) => rates(from + step),
      initial: only(objective.spec, values),
      logEvery: Math.min(50, to - from),
      progress: say,
    });
    [values, before, last, tokens] = [
      await valuesOf(objective.spec, params),
      stream.save(),
      loss.last,
      stream.mixer.tokens,
    ];
  }
  return { values, loss: last, tokens };
}

/** Tokens of a caption at least, roughly: more images than this allows have to wait for the next mini-batch. */
const LEAST_CAPTION = 10;

async function tune(
  { seed, tuneText = 0, stages }: Run,
  { world, out, freeze, say }: RunContext,
  initial: Values,
  ask: (epoch: number, params: VisionLanguage) => Promise<void>,
) {
  const { budget, conversations, texts, tokenizer, imageTokens } = world, { batch, length, epochs } = budget;
  const source = conversationSource(conversations, {
    tokenizer,
    imageTokens,
    maxLength: length,
    seed,
    images: 1,
    template: { before: "", after: "" },
  });
  const filled = Math.min(FILLED, 1 - tuneText) * batch * length; // texts fill first what conversations leave free
  const perEpoch = await stepsOf(source, conversations.length, filled), steps = perEpoch * epochs;
  const images = 2 * Math.ceil(conversations.length / perEpoch); // twice what a mini-batch has in the mean
  const parts = [{ source, share: 1 - tuneText }, { source: textSource(texts, { tokenizer, seed }), share: tuneText }];
  const stream = streamOf(world, parts, images, seed),
    objective = objectiveOf(world, world.config, images, tuneFreeze({ stages }, freeze));
  const curve = { steps, warmup: Math.ceil(steps / 20), rate: budget.tuneRate, floor: budget.tuneRate / 100 };
  const { loss } = await train({
    ...objective,
    data: stream,
    evaluate: async (params, step) => {
      await ask(step / perEpoch, params);
      return {};
    },
  }, {
    ...usual,
    steps,
    seed,
    learningRate: (step) => curveRate(curve, step),
    initial: only(objective.spec, initial),
    evaluateEvery: perEpoch,
    out,
    overwrite: true,
    checkpointEvery: steps,
    files: { "tokenizer.json": JSON.stringify(tokenizer), "config.json": JSON.stringify(world.config) },
    logEvery: Math.min(50, perEpoch),
    progress: say,
  });
  return { steps, loss: loss.last };
}

/** Steps in which every document comes once, if a mini-batch has so many of their tokens. */
async function stepsOf(source: SequenceSource, documents: number, tokens: number): Promise<number> {
  let total = 0;
  const before = source.save();
  for (let i = 0; i < documents; i++) total += (await source.next()).tokens.length;
  source.restore(before);
  return Math.max(1, Math.round(total / tokens));
}

/** The share of a row's tokens that whole documents fill, roughly; their ends leave the rest free. */
const FILLED = 0.8;

function streamOf(
  world: World,
  parts: ConstructorParameters<typeof Mixer>[0],
  images: number,
  seed: number,
): SequenceStream {
  const { budget: { batch, length }, tokenizer } = world;
  const options: SequenceBatchOptions = { batch, length, images, padId: tokenizer.endId, seed };
  const pixels = { view: viewOf(world), cacheBytes: 2 ** 28 };
  return new SequenceStream(new Mixer(parts), images ? { ...options, pixels } : options);
}

function objectiveOf(
  { budget: { batch, length } }: World,
  config: VisionLanguageConfig,
  images: number,
  freeze: readonly string[] = [],
) {
  return lm.objective({ config, batch, length, images }, { freeze });
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
