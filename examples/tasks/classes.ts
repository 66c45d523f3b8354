/** Tasks that choose among classes: what a model says of every example. */
import {
  argmax,
  type Collate,
  compile,
  type Dataset,
  type Example,
  type Tensor,
  toDevice,
  toHost,
  type Tree,
} from "../../mod.ts";
import { Splits } from "./batches.ts";
import type { EvaluationContext, Evaluator, Parameters, Score } from "./task.ts";

/** An evaluator of logits [B, C]; `score` gets the class of each example that could be read, by its index. */
export function classEvaluator<E extends Example, D extends Dataset<E>, B extends Tree>(
  { batch, workers, onError }: Pick<EvaluationContext<E>, "batch" | "workers" | "onError">,
  collate: Collate<E, B>,
  logits: (params: Parameters, input: B) => Tensor,
  score: (dataset: D, classes: ReadonlyMap<number, number>) => Score,
): Evaluator<D> {
  const splits = new Splits<E, B>(collate, { batch, workers, onError });
  const classify = compile((params: Parameters, input: B) => argmax(logits(params, input)));
  return {
    protocol: {},
    async evaluate(params, dataset) {
      const classes = new Map<number, number>();
      await toDevice(params);
      for await (const { input, indices } of splits.batches(dataset)) {
        const [found] = await toHost([await classify(params, input)]);
        indices.forEach((index, row) => index !== undefined && classes.set(index, found![row]!));
      }
      return score(dataset, classes);
    },
    async close() {
      classify.destroy();
      await splits.close();
    },
  };
}

/** The 95 % interval of a share (Wilson 1927), in the share's unit. */
export function interval(share: number, count: number): [low: number, high: number] {
  const z = 1.96, middle = (share + z * z / (2 * count)) / (1 + z * z / count);
  const half = z / (1 + z * z / count) * Math.sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  return [middle - half, middle + half];
}
