/**
 * A language model of the bytes of a text file, by default the README: trains the decoder of `src/models/decoder.ts`, prints its losses
 * (nats a byte; 5.5 by chance) and what it writes. After 200 steps of `tiny` that was 2.4.
 *
 *     deno run -A examples/language_model.ts --data book.txt --model small --steps 2000
 *     deno run -A examples/language_model.ts --model 79m --length 2048 --batch 8 --dry-run     memory and operations of a step
 */
import * as gs from "../mod.ts";

const { count, fields, number, oneOf, text, toggle } = gs.settings;
const models = Object.keys(gs.decoderConfigs) as (keyof typeof gs.decoderConfigs)[];
const declared = fields({
  data: text("README.md", "a text file"),
  model: oneOf(models, "tiny", "sizes of the model"),
  length: count(64, "bytes of a row"),
  batch: count(16, "rows of a mini-batch"),
  steps: count(200, "optimizer steps"),
  lr: number(1e-2, "largest learning rate", { above: 0 }),
  prompt: text("The ", "what the text begins with that is written in the end"),
  temperature: number(0.7, "0: the most likely bytes", { min: 0 }),
  remat: toggle(false, "recompute activations in the backward pass: less memory, one more forward pass"),
  noTuning: toggle(false, "compute as if deno task doctor had measured nothing: products by the built-in rule"),
  dryRun: toggle(false, "print memory and operations of a step, and stop"),
  help: toggle(false, "print this"),
});
const options = gs.settings.readSettings(declared, { args: Deno.args });
if (options.help) {
  console.log(gs.settings.formatHelp(declared));
  Deno.exit();
}
await gs.setUpAdapter({ tuning: !options.noTuning });
const config = { decoder: gs.decoderConfigs[options.model] }, { batch, length, steps, remat } = options;
const objective = gs.lm.objective({ config, batch, length, remat });
const { flop, memory } = await gs.estimateStep(objective);
if (options.dryRun) {
  const parameters = gs.countParameters(objective.spec);
  console.log(JSON.stringify({ parameters, flop, bytes: memory }));
  Deno.exit();
}

let last: gs.Metrics | undefined;

/** Rows of bytes from random places, each a document of its own. */
const bytes = await Deno.readFile(options.data), shape = [batch, length], random = new gs.Random(1);
const places = Array.from({ length: batch }, () => Array.from({ length }, (_, at) => at)).flat();
if (bytes.length < length) {
  throw new RangeError(`Cannot train on "${options.data}": it must have ${length} bytes: it has ${bytes.length}`);
}
const next = (): gs.DecoderBatch => {
  const starts = Array.from({ length: batch }, () => random.below(bytes.length - length + 1));
  return {
    tokens: gs.tensor(starts.flatMap((at) => [...bytes.subarray(at, at + length)]), shape, "i32"),
    documents: gs.tensor(new Int32Array(batch * length), shape),
    positions: gs.tensor(places, shape, "i32"),
    lossMask: gs.tensor(places.map((at) => at < length - 1 ? 1 : 0), shape),
  };
};
const { loss, params } = await gs.train({
  ...objective,
  data: { next: () => Promise.resolve({ input: next(), examples: batch, label: "bytes", epoch: 0 }) },
}, {
  steps,
  learningRate: gs.warmup(Math.ceil(steps / 10), gs.cosineSchedule(options.lr, options.lr / 100, steps)),
  adamw: { beta2: 0.95, weightDecay: 0.1 },
  clip: 1,
  logEvery: Math.min(50, steps),
  onMetrics: (metrics) => void (last = metrics),
});
const { examplesPerSecond, gpuBytes } = last!, secondsPerStep = batch / examplesPerSecond;
console.log(JSON.stringify({ loss, secondsPerStep, flopPerSecond: flop / secondsPerStep, gpuBytes }));
const tokens = [[...new TextEncoder().encode(options.prompt)]], { temperature } = options;
const [texts] = await gs.generateTexts(params, { tokens }, { config, maxTokens: 120, temperature, topP: 0.95 });
console.log(options.prompt + new TextDecoder().decode(Uint8Array.from(texts![0]!.ids)));
Deno.exit();
