/**
 * Where adversarial training in embedding space (Gan et al. 2020, VILLA) reaches into a model and its loss: models hand their embeddings
 * to {@linkcode perturb}, losses what they predict to {@linkcode predicted}, and both wrap in {@linkcode clean} what no attack may
 * change. Outside of {@linkcode underAttack} these do nothing, so that a model or a recipe need not know whether it is attacked.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import type { Logits } from "./logits.ts";

/** Whose embeddings are perturbed: patches or regions of images, or words of texts. */
export type Modality = "image" | "text";

/** A distribution that a term of a loss is the cross-entropy of. */
export interface Prediction {
  /** Its softmax is predicted: [..., K], whole or in parts. */
  readonly logits: Tensor | Logits;
  /** How much each row counts, as many numbers as there are rows. Default: all alike */
  readonly counts?: Tensor | undefined;
  /** The term's weight in the loss. */
  readonly weight: number;
}

/** What is done to a pass while it is traced; the calls come in the same order in every pass of one loss. */
export interface Attack {
  /** The embeddings [B, ...] that the model goes on with, shaped as those given. */
  perturb(modality: Modality, embeddings: Tensor): Tensor;
  /** Is shown what a term predicts. */
  predict(prediction: Prediction): void;
  /** The value that `of` has in a pass without an attack. */
  clean<T>(of: () => T): T;
}

let current: { readonly attack: Attack; readonly weight: number } | undefined;

/** Traces `run` with an attack, or with none. */
export function underAttack<T>(attack: Attack | undefined, run: () => T): T {
  return within(attack && { attack, weight: 1 }, run);
}

function within<T>(scope: typeof current, run: () => T): T {
  const outer = current;
  current = scope;
  try {
    return run();
  } finally {
    current = outer;
  }
}

/** Embeddings, perturbed if the pass is attacked. Not inside of `checkpoint()`, which traces again when the attack is over. */
export function perturb(modality: Modality, embeddings: Tensor): Tensor {
  return current ? current.attack.perturb(modality, embeddings) : embeddings;
}

/** Tells an attack what a term of the loss predicts. `counts`: how much each row counts; default: all alike. */
export function predicted(logits: Tensor | Logits, counts?: Tensor): void {
  current?.attack.predict({ logits, counts, weight: current.weight });
}

/** What no attack may change and all passes share: passes of a teacher, draws by the model's own features. */
export function clean<T>(of: () => T): T {
  return current ? current.attack.clean(of) : of();
}

/** Traces a term that counts `weight` in the loss. */
export function weighed<T>(weight: number, term: () => T): T {
  return current ? within({ ...current, weight: current.weight * weight }, term) : term();
}
