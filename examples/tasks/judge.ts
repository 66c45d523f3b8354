/** Which model of a run is its result, and how good that one is. */
import { loadStart, parametersOf, say } from "../_run.ts";
import type { Tuning } from "../finetune_settings.ts";
import type { Job } from "./job.ts";
import { Selection } from "./selection.ts";
import type { Parameters } from "./task.ts";

/** Measures models while they are trained, keeps the best, and tests that one. */
export async function openJudge(job: Job, options: Tuning, begun: boolean) {
  const { task, tokenizer, config, values, objective, val, test } = job;
  const { textLength, evalBatch, workers, onError, select, out } = options;
  const sizes = { config, tokenizer, textLength, batch: evalBatch, workers, onError };
  const evaluator = task.evaluator({ ...sizes, values, objective }), selection = new Selection(out);
  const by = select === "test" ? "test" : "val", selecting = by === "test" ? test : val;
  for (const split of [selecting, test]) if (split) await evaluator.check?.(split);
  if (begun) await selection.resume();
  const evaluate = selecting && (async (params: Parameters, step: number): Promise<Record<string, number>> => {
    const score = await evaluator.evaluate(params, selecting);
    say(`step ${step}: ${score.line} (${selecting.name})`);
    if (select !== "last") await selection.offer(params, step, score);
    return { [`${by}/score`]: score.score };
  });
  const finish = async ({ params, steps }: { readonly params: Parameters; readonly steps: number }) => {
    const { best } = selection;
    if (!best) await selection.clear();
    const chosen: Parameters = best
      ? parametersOf(objective.spec, await loadStart(selection.path, objective.spec, []))
      : params;
    const tested = test && by !== "test" ? await evaluator.evaluate(chosen, test) : undefined;
    if (tested) say(`test: ${tested.line} (${test!.name})`);
    await evaluator.close();
    return {
      protocol: { selection: best ? by : "last step", step: best?.step ?? steps, ...evaluator.protocol },
      val: best && by === "val" ? best.figures : null,
      test: tested?.figures ?? (best && by === "test" ? best.figures : null),
      best: best ? selection.path : null,
    };
  };
  return { evaluate, finish };
}
