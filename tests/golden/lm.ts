/**
 * The sets of the decoder language model with image prefix: OpenLM's decoder, Prismatic's projector, images behind the first token.
 */
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { generateTexts } from "../../src/eval/generate_text.ts";
import { nextTokenLoss } from "../../src/losses/next_token.ts";
import { decoderLogits, decoderStates, embedTokens } from "../../src/models/decoder.ts";
import { decodeNext, fillCache } from "../../src/models/decoder_cache.ts";
import {
  projectImages,
  projectorSpec,
  spliceImages,
  type VisionLanguage,
  type VisionLanguageConfig,
  visionLanguageSpec,
} from "../../src/models/vision_language.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { concat, slice } from "../../src/ops/shape.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { compareGradients, run } from "./core.ts";
import { type Golden, type Loose, type Value, Verdict } from "./golden.ts";

const NOT_SCORED = -100;

/** Sizes that a set's config and weights state; the encoder, which is not part of the set, is anything of the right width. */
function configOf(c: Loose, weights: ReadonlyMap<string, Value>): VisionLanguageConfig & { imageToken: number } {
  const has = (name: string): boolean => weights.has(`llm_backbone.llm.model.${name}`);
  return {
    decoder: {
      vocabulary: c.vocab,
      width: c.width,
      layers: c.layers,
      heads: c.heads,
      ...(c.ffn_hidden === undefined ? {} : { hidden: c.ffn_hidden }),
      maxPositions: c.seq_len,
      eps: c.norm_eps ?? 1e-5,
      rotaryBase: c.rotary_base ?? 10000,
      norm: /rms/i.test(c.norm ?? "") ? "rms" : "layer",
      normBias: has("norm.bias"),
      qkNorm: has("layers.0.attention.q_norm.weight"),
      tied: !has("output.weight"),
    },
    imageToken: c.vocab,
  };
}

/** Everything that the comparisons have at hand. */
interface Setting {
  readonly verdict: Verdict;
  readonly raw: Loose;
  readonly config: VisionLanguageConfig & { imageToken: number };
  readonly params: VisionLanguage;
  readonly inputs: ReadonlyMap<string, Value>;
}

async function settingOf(golden: Golden, file: string): Promise<Setting> {
  const set = file.split("/").at(-1)!.replace(".safetensors", ""), weights = golden.sibling(file, `weights_${set}`);
  const raw = { ...golden.entry(weights).config, ...golden.entry(file).config };
  const config = configOf(raw, await golden.values(weights));
  const spec = { projector: projectorSpec(raw.vision_width, raw.width), ...visionLanguageSpec(config) };
  return {
    verdict: new Verdict(file, await golden.values(file), golden.entry(file)),
    raw,
    config,
    params: await golden.parameters(file, spec, undefined, `weights_${set}`),
    inputs: await golden.values(golden.sibling(file, "inputs")),
  };
}

/** Rows of numbers. */
function rowsOf({ data, shape }: Value): number[][] {
  const width = shape[1]!;
  return Array.from({ length: shape[0]! }, (_, row) => Array.from(data.slice(row * width, (row + 1) * width)));
}

/** A mini-batch of rows that are one document each, with what of them is scored. */
interface Rows {
  readonly ids: readonly (readonly number[])[];
  readonly mask: readonly (readonly number[])[];
  readonly labels: readonly (readonly number[])[];
}

/** The mini-batch of rows: the loss of a token counts where the next one has a label. */
function batchOf({ ids, mask, labels }: Rows): Loose {
  const shape = [ids.length, ids[0]!.length], i32 = (x: number[]): Tensor => tensor(Int32Array.from(x), shape);
  return {
    tokens: i32(ids.flat()),
    documents: i32(mask.flat().map((m) => m ? 0 : -1)),
    positions: i32(ids.flatMap((row) => row.map((_, t) => t))),
    lossMask: tensor(
      Float32Array.from(labels.flatMap((row) => row.map((_, t) => (row[t + 1] ?? NOT_SCORED) >= 0 ? 1 : 0))),
      shape,
    ),
  };
}

/** What a set's rows say, of the labels as the mini-batch has them. */
function labelsOf({ ids }: Rows, { lossMask }: Loose): number[] {
  const scored = lossMask.node.host as Float32Array, length = ids[0]!.length;
  return ids.flatMap((row, b) => row.map((id, t) => t > 0 && scored[b * length + t - 1] ? id : NOT_SCORED));
}

/** Rows with an image behind the first token, or with as many empty places at their end. */
function withImages(
  { ids, mask, labels }: Rows,
  order: readonly number[],
  images: number,
  patches: number,
  token: number,
): Rows {
  const fill = (value: number): number[] => Array<number>(patches).fill(value);
  const put = (rows: Rows["ids"], inside: number, behind: number): number[][] =>
    order.map((row, i) =>
      i < images ? [rows[row]![0]!, ...fill(inside), ...rows[row]!.slice(1)] : [...rows[row]!, ...fill(behind)]
    );
  return { ids: put(ids, token, token), mask: put(mask, 1, 0), labels: put(labels, NOT_SCORED, NOT_SCORED) };
}

async function lmSet(golden: Golden, file: string): Promise<Verdict> {
  const setting = await settingOf(golden, file), { inputs, raw, verdict, config } = setting;
  const rows: Rows = {
    ids: rowsOf(inputs.get("input_ids")!),
    mask: rowsOf(inputs.get("attention_mask")!),
    labels: rowsOf(inputs.get("labels")!),
  };
  const chunk = rowsOf(inputs.get("chunk")!), ones = chunk.map((row) => row.map(() => 1));
  await compareText(setting, { ids: chunk, mask: ones, labels: chunk });
  await comparePadded(setting, rows);
  const all = rows.ids.map((_, row) => row), shown: number[] = raw.mixed_image_rows;
  const order = [...shown, ...all.filter((row) => !shown.includes(row))];
  const splice = (order: number[], images: number): Rows =>
    withImages(rows, order, images, raw.patches, config.imageToken);
  const found = await compareImages(setting, "image_text", splice(all, all.length), { rows: all, empty: 0 }, "grad.");
  const empty = all.length - shown.length;
  await compareImages(setting, "mixed", splice(order, shown.length), { rows: shown, empty }, "grad_mixed.");
  const unreached: string[] = verdict.entry.scalars.no_grad_params ?? [];
  verdict.holds("no_grad_params", unreached.every((name) => found.get(`grads.${name}`)!.every((g) => g === 0)));
  const logits = [
    await compareGeneration(setting, "text", false),
    await compareGeneration(setting, "image_text", true),
  ];
  const margin = Math.min(...logits.flat().map(marginOf)), largest = Math.max(...logits.flat(2).map(Math.abs));
  verdict.close(
    "scalar generate_min_margin_best_second_logit",
    [margin],
    [verdict.entry.scalars.generate_min_margin_best_second_logit],
    4e-5 * largest,
  );
  return verdict;
}

/** How far the largest number is above the second largest. */
function marginOf(logits: readonly number[]): number {
  const [best, second] = logits.toSorted((a, b) => b - a);
  return best! - second!;
}

/** Plain text: logits of all but the last token, the loss without and with z-loss. */
async function compareText({ verdict, config, params }: Setting, rows: Rows): Promise<void> {
  const { decoder } = config, length = rows.ids[0]!.length;
  const results = await run([params, batchOf(rows)], (p: VisionLanguage, batch) => {
    const [loss, grads, rest] = valueAndGradAux((p: VisionLanguage) => {
      const { model } = p.llm_backbone.llm,
        states = decoderStates(model, embedTokens(model, batch.tokens), batch, { config: decoder });
      const { crossEntropy, z } = nextTokenLoss(model, states, batch), features = slice(states, 1, 0, length - 1);
      const withZ = add(crossEntropy, multiply(z, 1e-4));
      return [crossEntropy, { features, logits: decoderLogits(model, features), withZ } as Loose];
    })(p);
    return { loss, grads, ...rest };
  });
  verdict.forward("text.features", results.get("features")!);
  verdict.forward("text.logits", results.get("logits")!);
  verdict.scalar("text_loss", results.get("loss")![0]!);
  verdict.scalar("text_loss_with_z", results.get("withZ")![0]!);
  compareGradients(verdict, results, "grads.", "grad_text.");
}

async function comparePadded({ verdict, config, params }: Setting, rows: Rows): Promise<void> {
  const results = await run([params, batchOf(rows)], (p: VisionLanguage, batch) => {
    const { model } = p.llm_backbone.llm;
    const states = decoderStates(model, embedTokens(model, batch.tokens), batch, { config: config.decoder });
    return { loss: nextTokenLoss(model, states, batch).crossEntropy, logits: decoderLogits(model, states) };
  });
  verdict.forward("padded_text.logits", results.get("logits")!);
  verdict.scalar("padded_text_loss", results.get("loss")![0]!);
}

/** Rows of a file's images, and how many empty ones follow them. */
interface Shown {
  readonly rows: readonly number[];
  readonly empty: number;
}

/** Vectors of images in their order, then zeros. */
function features({ inputs }: Setting, { rows }: Shown): Tensor {
  const { data, shape } = inputs.get("patch_features")!, [, patches, width] = shape as [number, number, number];
  const size = patches * width, of = (row: number): number[] => Array.from(data.slice(row * size, (row + 1) * size));
  return tensor(Float32Array.from(rows.flatMap(of)), [rows.length, patches, width]);
}

/** Rows of text and images: logits, loss and gradients; the gradients by our names. */
async function compareImages(
  setting: Setting,
  name: string,
  rows: Rows,
  shown: Shown,
  grads: string,
): Promise<ReadonlyMap<string, Float32Array>> {
  const { verdict, config, params, raw } = setting, batch = batchOf(rows), { empty } = shown;
  const results = await run([params, batch, features(setting, shown)], (p: VisionLanguage, batch, seen) => {
    const [loss, grads, rest] = valueAndGradAux((p: VisionLanguage) => {
      const { model } = p.llm_backbone.llm, projected = projectImages(p.projector!, seen);
      const nothing = empty ? [full([empty, raw.patches, raw.width], 0)] : [];
      const x = spliceImages(model, batch.tokens, concat([projected, ...nothing], 0), config.imageToken);
      const states = decoderStates(model, x, batch, { config: config.decoder });
      const { crossEntropy } = nextTokenLoss(model, states, batch);
      return [crossEntropy, { projected, logits: decoderLogits(model, states) } as Loose];
    })(p);
    return { loss, grads, ...rest };
  });
  if (verdict.values.has(`${name}.projected`)) verdict.forward(`${name}.projected`, results.get("projected")!);
  verdict.forward(`${name}.logits`, results.get("logits")!);
  verdict.exact(`${name}.labels`, labelsOf(rows, batch));
  verdict.exact(`${name}.mask`, rows.mask.flat());
  verdict.scalar(`${name}_loss`, results.get("loss")![0]!);
  compareGradients(verdict, results, "grads.", grads);
  return results;
}

/**
 * Greedy continuations of the prompts, with the logits of the cached step along the way: those of each choice. The generator must write
 * the same.
 */
async function compareGeneration(setting: Setting, name: string, withImage: boolean): Promise<number[][]> {
  const { verdict, config, params, raw } = setting, { decoder, imageToken } = config;
  const prompts = rowsOf(setting.inputs.get("prompt")!), count = prompts.length, steps: number = raw.new_tokens;
  const image = withImage ? Array<number>(raw.patches).fill(imageToken) : [];
  const rows = prompts.map(([start, ...rest]) => [start!, ...image, ...rest]), length = rows[0]!.length;
  const kept = [count, length - 1 + steps, decoder.width], first = tensor(new Int32Array(count));
  const given = tensor(Int32Array.from(rows.flatMap((row) => row.slice(0, -1))), [count, length - 1]);
  const seen = features(setting, { rows: prompts.map((_, row) => row), empty: 0 });
  const started = await run([params, given, seen, first], (p: VisionLanguage, tokens, seen, first) => {
    const { model } = p.llm_backbone.llm;
    const x = withImage
      ? spliceImages(model, tokens, projectImages(p.projector!, seen), imageToken)
      : embedTokens(model, tokens);
    return { cache: fillCache(model, x, { first }, kept[1]!, decoder) as Loose };
  });
  const cacheOf = (results: ReadonlyMap<string, Float32Array>): Loose =>
    Array.from({ length: decoder.layers }, (_, i) => {
      const of = (part: string): Tensor => tensor(results.get(`cache.${i}.${part}`)!, kept);
      return { keys: of("keys"), values: of("values") };
    });
  let cache = cacheOf(started), last = rows.map((row) => row.at(-1)!);
  const written: number[][] = [], logits: number[][][] = [];
  for (let step = 0; step < steps; step++) {
    const place = tensor(Uint32Array.of(length - 1 + step));
    const results = await run(
      [params, tensor(Uint32Array.from(last)), place, first, cache],
      (p: VisionLanguage, tokens, place, first, cache) => {
        const { model } = p.llm_backbone.llm, next = decodeNext(model, tokens, place, { first }, cache, decoder);
        return { logits: decoderLogits(model, next.states), cache: next.cache as Loose };
      },
    );
    cache = cacheOf(results);
    const own = rowsOf({ data: results.get("logits")!, shape: [count, decoder.vocabulary] });
    logits.push(own);
    written.push(last = own.map((row) => row.indexOf(Math.max(...row))));
  }
  const byText = <T>(steps: readonly T[][]): T[] => prompts.flatMap((_, row) => steps.map((step) => step[row]!));
  verdict.exact(`generate.${name}`, byText(written));
  verdict.forward(`generate.${name}_logits`, byText(logits).flat());
  if (!withImage) {
    const texts = await generateTexts(params, { tokens: rows }, { config, maxTokens: steps });
    verdict.close(`generate.${name}, by the generator`, texts.flatMap(([text]) => text!.ids), byText(written), 0.5);
  }
  return byText(logits);
}

/** The checks of this file by the name of a set. */
export const lmSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  default: lmSet,
  qknorm: lmSet,
};
