/** Training steps of language models on random rows of several documents. */
import { defaultDevice } from "../../src/gpu/device.ts";
import { decoderConfigs } from "../../src/models/decoder_config.ts";
import { countParameters } from "../../src/nn/spec.ts";
import { placeholders } from "../../src/program/program.ts";
import { mapTree, type Tree } from "../../src/program/tree.ts";
import { lm } from "../../src/recipes/lm.ts";
import { describeMemory, estimateStep } from "../../src/train/estimate.ts";
import { line, round } from "./measure.ts";
import { type AnyObjective, BenchStep, filled, readyStep, stepFlop } from "./step.ts";
import type { Ready } from "./works.ts";

/** A decoder's name. */
export type DecoderName = keyof typeof decoderConfigs;

function objectiveOf(name: DecoderName, batch: number, length: number, remat: boolean): AnyObjective {
  return lm.objective({ config: { decoder: decoderConfigs[name] }, batch, length, remat }) as unknown as AnyObjective;
}

async function stepOf(name: DecoderName, batch: number, length: number, remat: boolean): Promise<BenchStep> {
  const objective = objectiveOf(name, batch, length, remat), { vocabulary } = decoderConfigs[name], half = length / 2;
  const values: Record<string, (u: number, i: number) => number> = {
    tokens: (u) => Math.floor((u + 1) / 2.001 * vocabulary),
    documents: (_, i) => i % length < half ? 0 : 1,
    positions: (_, i) => i % length < half ? i % length : i % length - Math.ceil(half),
    lossMask: (_, i) => i % length === length - 1 || i % length === Math.ceil(half) - 1 ? 0 : 1,
  };
  const input = mapTree(placeholders<Tree>(objective.input), (t, name) => filled(t, values[name]!));
  return await BenchStep.of(objective, input);
}

/** A step of a named size on rows of `length` tokens, two documents each. */
export async function languageModelWork(...size: [DecoderName, number, number, boolean]): Promise<Ready> {
  return await readyStep(await stepOf(...size));
}

/** One step alone, for sizes of which a second would take too long; its kernels are built before. */
export async function languageModelStep(...size: [DecoderName, number, number, boolean]): Promise<void> {
  const [name, batch, length, remat] = size, step = await stepOf(...size), programs = await step.programs();
  for (const program of programs) await program.build();
  const start = performance.now();
  await step.run();
  const loss = await step.loss(), ms = performance.now() - start, { adapter, memory } = await defaultDevice();
  const work = `lm-step ${name} ${batch} ${length}${remat ? " remat" : ""}`;
  const further = { loss, tokens_per_second: round(batch * length / ms * 1000), memory: memory.peak, adapter };
  console.log(JSON.stringify(line("gritstone", "webgpu", work, stepFlop(programs), { best: ms, median: ms }, further)));
}

/** Parameters, operations and memory of a step that is planned and not run. */
export async function languageModelMemory(name: DecoderName, batch: number, length: number): Promise<void> {
  for (const remat of [false, true]) {
    const objective = objectiveOf(name, batch, length, remat);
    const { flop, memory } = await estimateStep(objective), tera = (flop / 1e12).toFixed(2);
    console.log(
      `${name}, ${countParameters(objective.spec)} parameters, ${batch} rows of ${length} tokens${
        remat ? ", activations computed again" : ""
      }: ${tera} TFLOP a step`,
    );
    console.log(describeMemory(memory));
  }
}
