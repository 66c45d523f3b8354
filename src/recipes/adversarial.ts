/**
 * Adversarial training in embedding space, around any objective (VILLA: Gan et al. 2020, section 3 and algorithm 1; "free" gradients of the
 * parameters as in FreeLB: Zhu et al. 2020, section 3.1): the embeddings of one modality at a time are perturbed so that the loss rises; the
 * model learns to be right about them, and to say of them what it says without the perturbation.
 *
 * @module
 */
import { customVjp, valueAndGradAux } from "../autograd/grad.ts";
import { divergence } from "../losses/divergence.ts";
import { type Attack, type Modality, type Prediction, underAttack } from "../nn/attack.ts";
import { add, multiply } from "../ops/elementwise.ts";
import { foldIn, type Key } from "../ops/random.ts";
import { stopGradient } from "../ops/shape.ts";
import { ascend, type AscentOptions, startPerturbation } from "../optim/perturbation.ts";
import type { Tensor } from "../program/graph.ts";
import { leaves, mapTrees, type Tree } from "../program/tree.ts";
import type { LossResult, Objective } from "../train/task.ts";

/** How embeddings are perturbed. The defaults are those of the authors' code. */
export interface AdversarialOptions extends Partial<AscentOptions> {
  /** Steps of ascent; each costs a forward and a backward pass for each side. 0: no adversarial training. @default 3 */
  readonly steps?: number;
  /** Length of a step of each example. @default 1e-3 */
  readonly stepSize?: number;
  /** Largest L2 norm of an example's perturbation; 0: there is none, and perturbations start as zeros. @default 0 */
  readonly ball?: number;
  /** Weight of the symmetric KL divergence of predictions with and without the perturbation; 0 leaves it out. @default 1.5 */
  readonly kl?: number;
  /** Whose embeddings are perturbed; "both": images in one pass, texts in another. @default "both" */
  readonly sides?: Modality | "both";
}

/** Branch of a step's key that perturbations start from; recipes take small numbers. */
const BRANCH = 0x76696c;

/**
 * The objective with a loss that is the sum of
 * - its own, `clean`;
 * - `adversarial`: the loss of a perturbed pass, in the mean over the steps, summed over the sides;
 * - `kl` times `divergence`: how far that pass' predictions are from the clean ones; not of terms that predict no distribution, as the
 *   features of regions.
 *
 * The three are metrics besides its own. The gradients of the parameters come from the same backward passes as those that move the
 * perturbations, and take these as constants. Dropout is the same in all passes of a step (FreeLB, section 3.3), and so are drawn
 * negatives and what a teacher says, which no perturbation reaches. With 0 steps it is the objective itself.
 *
 * @throws {RangeError} If an option is out of its range; while tracing, if a side has no embeddings, or nothing is predicted and `kl` is not 0.
 */
// deno-lint-ignore no-explicit-any -- an objective takes its own parameters and mini-batches only
export function adversarial<O extends Objective<any, any, any>>(objective: O, options: AdversarialOptions = {}): O {
  const { steps = 3, stepSize = 1e-3, ball = 0, kl = 1.5, sides = "both" } = options;
  checkOptions({ steps, stepSize, ball, kl });
  if (steps === 0) return objective;
  const modalities: readonly Modality[] = sides === "both" ? ["image", "text"] : [sides];
  const loss: Objective<never, Tree, Tree>["loss"] = (params, extra, input, context) => {
    const run = (params: Tree): LossResult<Tree> => objective.loss(params as never, extra, input, context);
    const calm = new CleanPass(), result = underAttack(calm, () => run(params));
    checkPass(calm, modalities, kl);
    const attack = new Ascent(run, calm, { stepSize, ball, kl }, context.key);
    let sum: Attacked | undefined;
    for (let step = 0; step < steps; step++) {
      for (const side of modalities) {
        const found = attack.step(params, side);
        sum = sum ? mapTrees([sum, found], ([a, b]) => add(a!, b!)) : found;
      }
    }
    const { terms, gradients } = mapTrees([sum!], ([t]) => multiply(t!, 1 / steps));
    const { adversarial, divergence } = terms;
    const value = divergence ? add(adversarial, multiply(divergence, kl)) : adversarial;
    const [attacked] = customVjp(
      () => [value],
      (_, __, [ct]) => leaves(gradients).map((g) => multiply(g, ct!)),
    )(...leaves({ params, predictions: calm.logits }));
    return {
      ...result,
      loss: add(result.loss, attacked!),
      metrics: { ...result.metrics, clean: result.loss, ...terms },
    };
  };
  return { ...objective, loss };
}

function checkOptions({ steps, ...others }: Required<Omit<AdversarialOptions, "sides">>): void {
  if (!(Number.isInteger(steps) && steps >= 0)) {
    throw new RangeError(`Cannot train adversarially: steps must be a whole number of at least 0: it is ${steps}`);
  }
  const wrong = Object.entries(others).find(([, value]) => !(value >= 0 && value < Infinity));
  if (wrong) throw new RangeError(`Cannot train adversarially: ${wrong[0]} must be at least 0: it is ${wrong[1]}`);
}

function checkPass({ embeddings, predictions }: CleanPass, sides: readonly Modality[], kl: number): void {
  const missing = sides.find((side) => !embeddings[side].length);
  if (missing) {
    const other = missing === "image" ? "text" : "image";
    const rule = embeddings[other].length
      ? `sides (--adversarial-sides) must be "${other}"`
      : "the model must hand embeddings to perturb()";
    throw new RangeError(`Cannot train adversarially: ${rule}: it has no embeddings of ${missing}s to perturb`);
  }
  if (kl && !predictions.length) {
    throw new RangeError(
      `Cannot train adversarially: kl (--adversarial-kl) must be 0, as the loss predicts no distribution: it is ${kl}`,
    );
  }
}

/** A pass without perturbations: what there is to perturb, to compare and to keep. */
class CleanPass implements Attack {
  readonly embeddings: Readonly<Record<Modality, Tensor[]>> = { image: [], text: [] };
  readonly predictions: Prediction[] = [];
  readonly kept: unknown[] = [];

  /** Logits of the predictions, as a tree. */
  get logits(): (Tensor | Prediction["logits"])[] {
    return this.predictions.map(({ logits }) => logits);
  }

  perturb(modality: Modality, embeddings: Tensor): Tensor {
    this.embeddings[modality].push(embeddings);
    return embeddings;
  }

  predict(prediction: Prediction): void {
    this.predictions.push(prediction);
  }

  clean<T>(of: () => T): T {
    const value = underAttack(undefined, of);
    this.kept.push(value);
    return value;
  }
}

/** A pass with perturbations of one side. */
class AttackedPass implements Attack {
  readonly predictions: Prediction[] = [];
  readonly #kept: Iterator<unknown>;
  readonly #deltas: Iterator<Tensor>;

  constructor({ kept }: CleanPass, readonly side: Modality, deltas: readonly Tensor[]) {
    this.#kept = kept.values();
    this.#deltas = deltas.values();
  }

  perturb(modality: Modality, embeddings: Tensor): Tensor {
    return modality === this.side ? add(embeddings, this.#deltas.next().value!) : embeddings;
  }

  predict(prediction: Prediction): void {
    this.predictions.push(prediction);
  }

  clean<T>(): T {
    return this.#kept.next().value as T;
  }
}

/** What an attack does to the loss, and the gradients of the parameters and of the clean predictions. */
type Attacked = {
  readonly terms: { readonly adversarial: Tensor; readonly divergence?: Tensor };
  readonly gradients: Tree;
};

/** The perturbations of a step of training, on their way. */
class Ascent {
  readonly #deltas: Record<Modality, Tensor[]>;

  constructor(
    readonly run: (params: Tree) => LossResult<Tree>,
    readonly calm: CleanPass,
    readonly options: AscentOptions & { readonly kl: number },
    key: Key,
  ) {
    const start = (side: Modality, branch: number): Tensor[] =>
      calm.embeddings[side].map(({ shape }, i) =>
        startPerturbation(shape, options.ball, foldIn(foldIn(foldIn(key, BRANCH), branch), i))
      );
    this.#deltas = { image: start("image", 0), text: start("text", 1) };
  }

  /** A pass with the perturbations of a side, which then climb. */
  step(params: Tree, side: Modality): Attacked {
    const { calm, options: { kl } } = this, deltas = this.#deltas[side];
    const [, { deltas: slopes, ...gradients }, terms] = valueAndGradAux((own: Given): [Tensor, Attacked["terms"]] => {
      const pass = new AttackedPass(calm, side, own.deltas);
      const { loss: adversarial } = underAttack(pass, () => this.run(own.params));
      if (!kl) return [adversarial, { adversarial }];
      const clean = calm.predictions.map((p, i) => ({ ...p, logits: own.predictions[i]! }));
      const distance = divergence(clean, pass.predictions);
      return [add(adversarial, multiply(distance, kl)), { adversarial, divergence: distance }];
    })({ params, predictions: calm.logits, deltas });
    this.#deltas[side] = deltas.map((delta, i) => stopGradient(ascend(delta, slopes[i]!, this.options)));
    return { terms, gradients };
  }
}

/** What an attacked pass is differentiated by. */
type Given = {
  readonly params: Tree;
  readonly predictions: readonly Prediction["logits"][];
  readonly deltas: readonly Tensor[];
};
