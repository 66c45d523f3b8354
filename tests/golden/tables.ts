/** The sets that need no GPU: learning rates, clean texts, resized position tables. */
import { cleanCaption, cleanQuestion } from "../../src/data/captions.ts";
import { resizePositionTable } from "../../src/io/posembed.ts";
import { learningRate } from "../../src/optim/schedule.ts";
import { type Golden, type Loose, Verdict } from "./golden.ts";

/** Rows (epoch, step, rate) at every change and at each start of an epoch; between them the rate stays. */
async function scheduleSet(golden: Golden, file: string): Promise<Verdict> {
  const verdict = new Verdict(file, new Map(), golden.entry(file));
  for (const [name, run] of Object.entries<Loose>(await golden.json(file))) {
    const { min_lr, warmup_lr, warmup_epochs, epochs } = run.schedular;
    // timm's scheduler takes the optimizer's rate; "lr" of its own settings is not used.
    const options = {
      rate: run.optimizer_lr,
      minRate: min_lr,
      warmupRate: warmup_lr,
      warmupBlocks: warmup_epochs,
      epochs,
    };
    const rows: [number, number, number][] = run.table_epoch_step_lr;
    rows.forEach(([epoch, step, rate], i) => {
      const next = rows[i + 1];
      const end = next && next[0] === epoch ? next[1] : run.steps_per_epoch;
      for (const at of new Set([step, Math.floor((step + end - 1) / 2), end - 1])) {
        verdict.close(`${name} epoch ${epoch} step ${at}`, [learningRate(epoch, at, options)], [rate], 1e-9 * rate);
      }
    });
  }
  return verdict;
}

async function textSet(golden: Golden, file: string): Promise<Verdict> {
  const verdict = new Verdict(file, new Map(), golden.entry(file));
  for (const { text, max_words, pre_caption, pre_question } of await golden.json(file)) {
    const name = JSON.stringify(text);
    verdict.holds(`caption of ${name}`, cleanCaption(text, max_words) === pre_caption);
    verdict.holds(`question of ${name}`, cleanQuestion(text, max_words) === pre_question);
  }
  return verdict;
}

async function posembedSet(golden: Golden, file: string): Promise<Verdict> {
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  for (const name of verdict.left.filter((n) => n.endsWith(".out"))) {
    const input = name.replace(/out$/, "in"), given = verdict.values.get(input)!;
    const [, rows, width] = verdict.values.get(name)!.shape as [number, number, number];
    verdict.forward(name, resizePositionTable(given.data as Float32Array, width, rows));
    verdict.skip(input);
  }
  return verdict;
}

/** The checks of this file by the name of a set. */
export const tableSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  schedule: scheduleSet,
  text_preprocess: textSet,
  posembed: posembedSet,
};
