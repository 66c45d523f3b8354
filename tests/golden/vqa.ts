/** The set of visual question answering: training loss, distillation, ranking by both scores. */
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { rankAnswers } from "../../src/eval/answers.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { type Vqa, vqaSpec } from "../../src/models/vqa.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { ema } from "../../src/optim/adamw.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { vqaLoss } from "../../src/recipes/vqa.ts";
import { albefConfig, compareGradients, run } from "./core.ts";
import { type Golden, type Loose, toTensor, type Value, Verdict } from "./golden.ts";
import { momentumName } from "./momentum.ts";

interface Setting {
  readonly verdict: Verdict;
  readonly config: AlbefConfig;
  readonly raw: Loose;
  readonly params: Vqa;
  readonly inputs: ReadonlyMap<string, Value>;
}

function questionsOf({ inputs }: Setting): Loose {
  return {
    image: toTensor(inputs.get("image")),
    ids: toTensor(inputs.get("question_ids"), "u32"),
    mask: toTensor(inputs.get("question_mask")),
  };
}

function answersOf({ inputs }: Setting): Loose {
  const counts = [...inputs.get("answers_per_question")!.data];
  return {
    answerIds: toTensor(inputs.get("answer_ids"), "u32"),
    answerMask: toTensor(inputs.get("answer_mask")),
    answerWeights: toTensor(inputs.get("answer_weights")),
    answerQuestions: tensor(Uint32Array.from(counts.flatMap((n, question) => Array<number>(n).fill(question)))),
  };
}

async function vqaSet(golden: Golden, file: string): Promise<Verdict> {
  const raw = golden.config(file), config = albefConfig(raw), spec = vqaSpec(config);
  const params = await golden.parameters(file, spec), copies = await golden.parameters(file, spec, momentumName);
  const inputs = await golden.values(golden.sibling(file, "inputs"));
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  const setting: Setting = { verdict, config, raw, params, inputs };
  await compareLosses(setting, copies);
  for (const [prefix, candidates] of [["rank", "cand_ids"], ["rank_dup", "cand_dup_ids"]] as const) {
    if (verdict.values.has(`${prefix}.topk_ids`)) await compareRanking(setting, prefix, candidates);
  }
  return verdict;
}

async function compareLosses(setting: Setting, copies: Vqa): Promise<void> {
  const { verdict, config, raw, params } = setting;
  for (const name of Object.keys(verdict.entry.scalars).filter((n) => n.startsWith("loss"))) {
    const alpha = Number(/alpha(.+)$/.exec(name)?.[1]?.replace("p", ".") ?? 0);
    const results = await run([params, copies, questionsOf(setting), answersOf(setting)], (p, copies, q, answers) => {
      const batch = { ...q, ...answers, patches: patchify(q.image, config.vision.patch) };
      const momentum = alpha ? { model: ema(copies as Vqa, p, raw.momentum ?? 0.995), alpha } : undefined;
      const [loss, grads] = valueAndGrad((p: Vqa) => vqaLoss(p, batch, { config }, momentum))(p);
      return { loss, grads };
    });
    verdict.scalar(name, results.get("loss")![0]!);
    compareGradients(verdict, results, "grads.", alpha ? "distill.grad." : "grad.");
  }
}

/** A ranking by the official score against the file, and one by the plain likelihood against the order of the file's losses. */
async function compareRanking(setting: Setting, prefix: string, candidates: string): Promise<void> {
  const { verdict, config, raw, params, inputs } = setting,
    value = (name: string) => verdict.values.get(`${prefix}.${name}`)!;
  const [rows, k] = value("topk_ids").shape as [number, number];
  const ids = toTensor(inputs.get(candidates), "u32"), mask = toTensor(inputs.get("cand_mask"));
  const rank = (countFirstTokenTwice: boolean): Promise<Map<string, Float32Array>> =>
    run([params, questionsOf(setting), { ids, mask }], (p, q, c: { ids: Tensor; mask: Tensor }) => {
      const questions = { ...q, patches: patchify(q.image, config.vision.patch) };
      return rankAnswers(p, questions, c, { config }, { k: raw.vqa_k ?? k, countFirstTokenTwice });
    });
  const official = await rank(true), plain = await rank(false);
  verdict.exact(`${prefix}.topk_ids`, official.get("answers")!);
  verdict.forward(`${prefix}.topk_probs`, official.get("probabilities")!);
  verdict.forward(`${prefix}.first_token_probs`, official.get("firstToken")!);
  for (const [theirs, ours] of [["answer_loss", "losses"], ["log_probs_sum", "scores"]] as const) {
    compareUnordered(verdict, `${prefix}.${theirs}`, official.get(ours)!, k);
  }
  const probabilities = value("first_token_probs").data, losses = value("answer_loss").data;
  const choices = probabilities.length / rows;
  for (let row = 0; row < rows; row++) {
    const own = Array.from(probabilities.subarray(row * choices, (row + 1) * choices));
    const shortlist = order(own).slice(0, k);
    const theirs = losses.subarray(row * k, (row + 1) * k), name = `${prefix} by likelihood, question ${row}`;
    const best = Array.from(plain.get("answers")!.subarray(row * k, (row + 1) * k));
    const inOrder = best.map((candidate) => theirs[shortlist.indexOf(candidate)]!);
    if (new Set(own).size === own.length) verdict.close(name, inOrder, sorted(theirs), 1e-4);
    const scores = Array.from(plain.get("scores")!.subarray(row * k, (row + 1) * k), (x) => -x);
    verdict.close(`${name}, losses`, sorted(scores), sorted(theirs), 2e-5 * Math.max(...theirs) + 1e-6);
  }
}

/** Positions of the values, the largest first. */
function order(values: readonly number[]): number[] {
  return values.map((_, i) => i).sort((a, b) => values[b]! - values[a]! || a - b);
}

function sorted(values: ArrayLike<number>): number[] {
  return Array.from(values).sort((a, b) => a - b);
}

/** Rows whose elements may stand in any order: candidates with equal first tokens are not ordered. */
function compareUnordered(verdict: Verdict, name: string, ours: ArrayLike<number>, k: number): void {
  const { data } = verdict.values.get(name)!,
    rows = (x: ArrayLike<number>) =>
      Array.from({ length: x.length / k }, (_, row) => sorted(Array.from(x).slice(row * k, (row + 1) * k))).flat();
  const largest = Math.max(...Array.from(data, Math.abs));
  verdict.skip(name);
  verdict.close(name, rows(ours), rows(data), 2e-5 * largest + 1e-6);
}

/** The checks of this file by the name of a set. */
export const vqaSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = { vqa: vqaSet };
