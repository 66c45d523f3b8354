/**
 * Result lines: one run of one seed, as JSON.
 *
 * @module
 */
import type { Recalls } from "../../mod.ts";
import { list, number, object, percent, positive, readLines, rule, text, whole } from "../_lines.ts";

/** Recall at 1 in percent among 8 near-duplicates; chance is 12.5. */
export interface GroupRecalls {
  /** Image queries. */
  readonly i2t: number;
  /** Text queries. */
  readonly t2i: number;
}

/**
 * What is learned: scenes, scenes of which some training pictures have each other's captions, scenes of few kinds of objects (many a caption
 * is true of other pictures), or photos.
 */
export const WORLDS = ["scenes", "noisy", "dense", "photos"] as const;

/** One of {@linkcode WORLDS}. */
export type WorldName = typeof WORLDS[number];

/** What one run of one seed gave. */
export interface AblationResult {
  readonly run: string;
  readonly seed: number;
  readonly world: WorldName;
  readonly steps: number;
  readonly batch: number;
  /** Examples of the training set. */
  readonly examples: number;
  readonly command: string;
  readonly commit: string;
  readonly adapter: string;
  /** Absent where several runs shared the machine. */
  readonly secondsPerEpoch?: number;
  /** Losses on the way; `falseNegatives` and a judge's `falsePositives` in percent of ITM's drawn pairs. */
  readonly curve: readonly {
    readonly step: number;
    readonly epoch: number;
    readonly loss: number;
    readonly itc?: number;
    readonly itm?: number;
    readonly mlm?: number;
    readonly falseNegatives?: number;
    readonly falsePositives?: number;
  }[];
  readonly usual: { readonly cosine: Recalls; readonly reranked?: Recalls; readonly joint?: Recalls };
  readonly hard?: {
    readonly cosine: GroupRecalls;
    readonly reranked?: GroupRecalls;
    readonly joint?: GroupRecalls;
    readonly matching?: number;
  };
  /** Accuracy of MLM at k in percent, with and without the image, for shares of masked tokens. */
  readonly vision?: readonly {
    readonly mask: number;
    readonly k: number;
    readonly with: number;
    readonly without: number;
  }[];
}

const recall = object({ r1: percent, r5: percent, r10: percent, mean: percent });
const recalls = object({ i2t: recall, t2i: recall, mean: percent });
const recalls1 = object({ i2t: percent, t2i: percent });
const point = { step: whole, epoch: number, loss: number, "itc?": number, "itm?": number, "mlm?": number };
const line = object({
  run: text,
  seed: whole,
  world: rule(`one of ${WORLDS.join(", ")}`, (v) => WORLDS.includes(v as WorldName)),
  steps: whole,
  batch: whole,
  examples: whole,
  command: text,
  commit: text,
  adapter: text,
  "secondsPerEpoch?": positive,
  curve: list(object({ ...point, "falseNegatives?": percent, "falsePositives?": percent })),
  usual: object({ cosine: recalls, "reranked?": recalls, "joint?": recalls }),
  "hard?": object({ cosine: recalls1, "reranked?": recalls1, "joint?": recalls1, "matching?": percent }),
  "vision?": list(object({ mask: number, k: whole, with: percent, without: percent })),
});

/** The results in a file of lines, see `readLines`. */
export function readResults(path: string): Promise<AblationResult[]> {
  return readLines<AblationResult>(path, line);
}
