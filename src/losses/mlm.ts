/**
 * Masked language modelling.
 *
 * @module
 */
import { cast, divide, less, maximum, multiply, subtract } from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { reshape, stopGradient } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { type Logits, softmaxLoss } from "./softmax_loss.ts";

/** A teacher for the soft part: its states (of the student's shape) and embedding, and the weight of that part. */
export interface MlmTeacher {
  /** The teacher's states, embedding and bias. */
  readonly logits: Logits;
  /** Weight of the soft part, in [0, 1]. */
  readonly alpha: Tensor | number;
}

/**
 * Mean cross-entropy over the positions with a label (others -100; 0 if there is none): states [T, D] after the head's
 * transform, embedding [V, D], bias [V], labels i32 [T]. The T x V logits exist in tiles only. With a teacher:
 * (1 - alpha) * cross-entropy + alpha * cross-entropy with the teacher's softmax, both over the same positions.
 */
export function mlmLoss(states: Tensor, embedding: Tensor, bias: Tensor, labels: Tensor, teacher?: MlmTeacher): Tensor {
  const byRow = (x: Tensor): Tensor => reshape(x, [labels.size, x.shape.at(-1)!]);
  const rows = byRow(states), flat = reshape(labels, [labels.size]);
  const chosen = subtract(1, less(flat, 0)); // 1 at positions with a label
  const alpha = teacher?.alpha ?? 0;
  const hard = typeof alpha === "number" ? 1 - alpha : subtract(1, alpha);
  const soft = teacher &&
    { soft: { logits: still({ ...teacher.logits, rows: byRow(teacher.logits.rows) }), weight: alpha } };
  const losses = softmaxLoss({ rows, columns: embedding, bias }, { targets: { labels: flat }, hard, ...soft });
  return divide(sum(multiply(losses, chosen)), maximum(sum(chosen), 1));
}

function still({ rows, columns, bias, scale }: Logits): Logits {
  return {
    rows: stopGradient(rows),
    columns: stopGradient(columns),
    ...(bias ? { bias: stopGradient(bias) } : {}),
    ...(scale ? { scale: stopGradient(scale) } : {}),
  };
}

/** Number of positions with a label, f32 scalar. */
export function labelCount(labels: Tensor): Tensor {
  return sum(subtract(1, cast(less(labels, 0), "f32")));
}
