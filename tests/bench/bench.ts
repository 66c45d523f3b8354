/**
 * Speed and memory of this library, one JSON line a run; every run of the work is waited for.
 *
 *     deno run -A tests/bench/bench.ts matmul N [f16]
 *     deno run -A tests/bench/bench.ts attention B H T D        forward and backward, D is the width of a head
 *     deno run -A tests/bench/bench.ts block B T D H            a ViT block, forward and backward
 *     deno run -A tests/bench/bench.ts step CONFIG BATCH [RECIPE]   a training step: loss, gradients, AdamW
 *     deno run -A tests/bench/bench.ts grouping L M N d         GRIT's grouping of a queue, and its share of an epoch
 *     deno run -A tests/bench/bench.ts itc N d [KEYS]           contrastive loss, forward and backward
 *     deno run -A tests/bench/bench.ts vocab TOKENS D V         vocabulary loss, forward and backward
 *     deno run -A tests/bench/bench.ts lm CONFIG BATCH LENGTH [remat]   a training step of a language model
 *     deno run -A tests/bench/bench.ts startup [CONFIG BATCH]   from the start of the process to the end of the first step
 *     deno run -A tests/bench/bench.ts official TASK [f16]      vqa, retrieval, nlvr, grounding: from a file to an answer
 *     deno run -A tests/bench/bench.ts peak                     what the adapter can do at most; later lines show the share
 *
 * Reports, as text; compare, suite, scaling and generation also keep their figures in tests/bench/results:
 *
 *     deno run -A tests/bench/bench.ts profile CONFIG BATCH [PATH]   times of a step's kernels; PATH.txt and PATH.json
 *     deno run -A tests/bench/bench.ts compare [ROUNDS]              with tfjs and jax-js, interleaved
 *     deno run -A tests/bench/bench.ts trainings [ROUNDS PYTHON]     the examples' trainings beside the same in PyTorch
 *     deno run -A tests/bench/bench.ts suite                         the works above, as a table
 *     deno run -A tests/bench/bench.ts scaling                       how cost grows with batch, tokens, width and keys
 *     deno run -A tests/bench/bench.ts generation [CONFIG TEXTS]     tokens per second of a language model by length
 *     deno run -A tests/bench/bench.ts waits                         what a training loop waits for
 *     deno run -A tests/bench/bench.ts memory CONFIG [BATCH GIB RECIPE]   memory of a run, and the largest batch that fits
 *     deno run -A tests/bench/bench.ts lm-step CONFIG BATCH LENGTH [remat]   one training step of a language model, not repeated
 *     deno run -A tests/bench/bench.ts lm-memory CONFIG BATCH LENGTH memory and operations of a language model's step, without running it
 */
import { defaultDevice } from "../../src/gpu/device.ts";
import { setUpAdapter } from "../../src/io/setup.ts";
import { configs } from "../../src/models/config.ts";
import { decoderConfigs } from "../../src/models/decoder_config.ts";
import { pairRecipes } from "../../src/recipes/mod.ts";
import { profileTable, writeProfile } from "../../src/train/profile.ts";
import { compare } from "./compare.ts";
import { generation } from "./generation.ts";
import { groupingLine } from "./grouping.ts";
import { type DecoderName, languageModelMemory, languageModelStep, languageModelWork } from "./language_model.ts";
import { type Line, line, measure, round } from "./measure.ts";
import { memoryReport } from "./memory.ts";
import { official, type OfficialTask } from "./official.ts";
import { keepPeak, knownPeak, measurePeak } from "./peak.ts";
import { scaling } from "./scaling.ts";
import { startup } from "./startup.ts";
import { profileStep, type RecipeName, stepWork } from "./step.ts";
import { waits } from "./waits.ts";
import { suite } from "./suite.ts";
import { trainings } from "./trainings.ts";
import { attentionWork, blockWork, itcWork, matmulWork, type Ready, vocabWork } from "./works.ts";

type ConfigName = keyof typeof configs;

const works: Record<string, (args: readonly string[]) => Promise<Ready>> = {
  matmul: ([n, type]) => matmulWork(Number(n), type === "f16"),
  attention: (args) => attentionWork(...numbers(args, 4)),
  block: (args) => blockWork(...numbers(args, 4)),
  step: ([config, batch, recipe]) => stepWork(configName(config), Number(batch), recipeName(recipe)),
  lm: ([config, batch, length, remat]) =>
    languageModelWork(decoderName(config), Number(batch), Number(length), remat === "remat"),
  itc: ([n, d, keys = "0"]) => itcWork(...numbers([n!, d!, keys], 3)),
  vocab: (args) => vocabWork(...numbers(args, 3)),
};

const reports: Record<string, (args: readonly string[]) => Promise<void>> = {
  peak: async () => {
    const peak = await measurePeak();
    await keepPeak(peak);
    console.log(JSON.stringify(peak));
  },
  startup: async ([config = "tiny", batch = "32"]) =>
    console.log(JSON.stringify(await startup(configName(config), Number(batch)))),
  grouping: async (args) => console.log(JSON.stringify(await groupingLine(...numbers(args, 4)))),
  official: ([task = "vqa", precision = "f32"]) => official(task as OfficialTask, precision as "f32" | "f16"),
  profile: async ([config, batch, path]) => {
    const times = await profileStep(configName(config), Number(batch));
    console.log(profileTable(times));
    if (path) await writeProfile(times, path);
  },
  compare: ([rounds = "5"]) => compare(Number(rounds)),
  trainings: ([rounds = "3", python = "python3"]) => trainings(Number(rounds), python),
  suite,
  scaling,
  waits,
  memory: ([config, batch = "96", limit = "16", recipe]) =>
    memoryReport(configName(config), Number(batch), Number(limit), recipeName(recipe)),
  generation: ([config = "small", texts = "1"]) => generation(decoderName(config), Number(texts)),
  "lm-step": ([config, batch, length, remat]) =>
    languageModelStep(decoderName(config), Number(batch), Number(length), remat === "remat"),
  "lm-memory": ([config, batch, length]) => languageModelMemory(decoderName(config), Number(batch), Number(length)),
};

function decoderName(name = ""): DecoderName {
  if (name in decoderConfigs) return name as DecoderName;
  throw new RangeError(
    `Cannot find the decoder "${name}": it must be one of ${Object.keys(decoderConfigs).join(", ")}`,
  );
}

function numbers<N extends number>(
  args: readonly string[],
  count: N,
): N extends 3 ? [number, number, number] : [number, number, number, number] {
  const found = args.map(Number);
  if (found.length !== count || found.some((n) => !Number.isInteger(n) || n < 0)) {
    throw new RangeError(`Cannot run the benchmark: it takes ${count} whole numbers: these are "${args.join(" ")}"`);
  }
  return found as ReturnType<typeof numbers<N>>;
}

function configName(name = ""): ConfigName {
  if (name in configs) return name as ConfigName;
  throw new RangeError(`Cannot find the configuration "${name}": it must be one of ${Object.keys(configs).join(", ")}`);
}

function recipeName(name = "grit"): RecipeName {
  if (name in pairRecipes) return name as RecipeName;
  throw new RangeError(`Cannot find the recipe "${name}": it must be one of ${Object.keys(pairRecipes).join(", ")}`);
}

async function benchmark(name: string, args: readonly string[]): Promise<Line> {
  const { flop, run, intermediates } = await works[name]!(args), times = await measure(run);
  const device = await defaultDevice(), peak = await knownPeak(device.adapter);
  return line("gritstone", "webgpu", [name, ...args].join(" "), flop, times, {
    memory: device.memory.peak,
    ...(intermediates === undefined ? {} : { intermediates }),
    ...(peak ? { share_of_peak: round(flop / times.median / 1e6 / peak.gflops, 3) } : {}),
    adapter: device.adapter,
  });
}

if (import.meta.main) {
  const [name = "", ...args] = Deno.args;
  await setUpAdapter();
  if (name in works) console.log(JSON.stringify(await benchmark(name, args)));
  else if (name in reports) await reports[name]!(args);
  else {
    console.error(
      `Cannot run "${name}": it must be one of ${[...Object.keys(works), ...Object.keys(reports)].join(", ")}`,
    );
    Deno.exit(2);
  }
  Deno.exit(0); // an open device does not keep a process alive, but workers of a driver may
}
