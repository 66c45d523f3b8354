/** Tokens per second of a decoder that keeps keys and values, and of the same one that computes all tokens again, by length. */
import { defaultDevice } from "../../src/gpu/device.ts";
import { draw } from "../../examples/_charts.ts";
import type { Decoder } from "../../src/models/decoder.ts";
import { decoderLogits, decoderSpec } from "../../src/models/decoder.ts";
import { decodeAgain, decodeNext, type DecoderCache } from "../../src/models/decoder_cache.ts";
import { type DecoderConfig, decoderConfigs } from "../../src/models/decoder_config.ts";
import { initialize } from "../../src/nn/spec.ts";
import { argmax } from "../../src/ops/argmax.ts";
import { full } from "../../src/ops/full.ts";
import { compile, evaluate, tensor, toDevice } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import type { DecoderName } from "./language_model.ts";
import { type Line, line, round } from "./measure.ts";
import { keep, keepTable, writeResult } from "./results.ts";

/** Tokens that are written in a row, before the GPU is waited for. */
const TOKENS = 8;

type Kept = { readonly cache: DecoderCache } | { readonly x: Tensor };
type Written = { readonly tokens: Tensor; readonly kept: Kept };

/** Room for `length` tokens of `rows` texts: nobody minds that the numbers are 0. */
async function room(rows: number, length: number, { width, layers }: DecoderConfig, cached: boolean): Promise<Kept> {
  const zeros = (): Tensor => full([rows, length, width], 0);
  const cache = Array.from({ length: layers }, () => ({ keys: zeros(), values: zeros() }));
  return await evaluate((cached ? { cache } : { x: zeros() }) as Tree) as Kept;
}

/** What writes the last tokens of `length`, greedily: every token is one run of one program. */
interface Writer {
  readonly length: number;
  readonly cached: boolean;
  /** Operations of a token of all texts. */
  readonly flop: number;
  /** Milliseconds of the fastest run so far. */
  best: number;
  run(): Promise<void>;
  destroy(): void;
}

async function writer(
  config: DecoderConfig,
  params: Decoder & Tree,
  rows: number,
  length: number,
  cached: boolean,
): Promise<Writer> {
  const first = tensor(new Int32Array(rows)), { gpu } = await defaultDevice();
  const next = compile((p: Decoder & Tree, { tokens, kept }: Written, place: Tensor): Written => {
    const found = "cache" in kept
      ? decodeNext(p, tokens, place, { first }, kept.cache, config)
      : decodeAgain(p, tokens, place, { first }, kept.x, config);
    const now = "cache" in found ? { cache: found.cache } : { x: found.x };
    return { tokens: argmax(decoderLogits(p, found.states)), kept: now };
  }, { donate: [1] });
  let written: Written = { tokens: tensor(new Uint32Array(rows)), kept: await room(rows, length, config, cached) };
  const program = await next.program(params, written, tensor(Uint32Array.of(0)));
  return {
    length,
    cached,
    flop: program.plan.steps.reduce((n, step) => n + (step.flop ?? 0), 0),
    best: Infinity,
    run: async () => {
      for (let i = TOKENS; i > 0; i--) written = await next(params, written, tensor(Uint32Array.of(length - i)));
      await gpu.queue.onSubmittedWorkDone();
    },
    destroy: () => {
      next.destroy();
      for (const t of leaves(written as Tree)) t.node.storage[t.index]!.release();
    },
  };
}

/** Rounds in which all writers take turns, for others may use the machine; the first one is not counted. */
const ROUNDS = 6;

/** Lines for lengths up to the model's positions, kept as table and chart. */
export async function generation(name: DecoderName, rows: number): Promise<void> {
  const config = decoderConfigs[name], writers: Writer[] = [];
  const params = await toDevice(initialize(decoderSpec(config), 1) as Tree) as Decoder & Tree;
  for (let length = 32; length <= config.maxPositions; length *= 2) {
    for (const cached of [true, false]) writers.push(await writer(config, params, rows, length, cached));
  }
  for (let turn = 0; turn < ROUNDS; turn++) {
    for (const writer of writers) {
      const start = performance.now();
      await writer.run();
      if (turn) writer.best = Math.min(writer.best, performance.now() - start);
    }
  }
  const { adapter } = await defaultDevice(),
    lines = writers.map(({ length, cached, flop, best }) => {
      const work = `generation ${name} ${rows} ${length}${cached ? "" : " uncached"}`;
      return line("gritstone", "webgpu", work, TOKENS * flop, { best, median: best }, {
        length,
        cached,
        tokens_per_second: round(rows * TOKENS / best * 1000),
        mflop_per_token: round(flop / rows / 1e6),
        adapter,
      });
    });
  for (const own of lines) console.log(JSON.stringify(own));
  for (const writer of writers) writer.destroy();
  const of = (length: unknown, cached: boolean): Line => lines.find((l) => l.length === length && l.cached === cached)!;
  const table = lines.filter(({ cached }) => cached).map((kept) => {
    const again = of(kept.length, false);
    const cells = [
      kept.length,
      ...[kept, again].map((l) => l.tokens_per_second),
      ...[kept, again].map((l) => l.mflop_per_token),
    ];
    return `| ${cells.join(" | ")} |\n`;
  });
  const head =
    "| tokens so far | tokens/s, cached | computed again | MFLOP a token, cached | computed again |\n| --- | --- | --- | --- | --- |\n";
  await keepTable(
    "generation",
    await keep("generation", `generation ${name} ${rows}`, { lines }),
    head + table.join(""),
  );
  await writeResult("generation.svg", await chart(lines));
}

async function chart(lines: readonly Line[]): Promise<string> {
  const axis = (field: string, title: string) => ({
    field,
    type: "quantitative",
    title,
    scale: { type: "log", base: 2 },
  });
  return await draw({
    width: 420,
    height: 260,
    data: { values: lines.map((line) => ({ ...line, keys: line.cached ? "cached" : "computed again" })) },
    mark: { type: "line", point: true },
    encoding: {
      x: axis("length", "tokens so far"),
      y: axis("tokens_per_second", "tokens per second"),
      color: { field: "keys", title: "keys and values", scale: { range: ["#0072B2", "#D55E00"] } },
    },
  });
}
