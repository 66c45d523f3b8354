/**
 * Which models are trained.
 *
 * @module
 */
import { type Variant, variantWords } from "./variant.ts";

/** A model: where its branch leaves the main run, with how many images, and the control that it may be; what is unusual of a variant. */
export interface Run extends Partial<Variant> {
  /** Share of the main run at which images enter. */
  readonly start: number;
  /** Share of the branch's tokens that belong to images and their captions; 0 is the control of text alone, at equal steps. */
  readonly share: number;
  /** `shuffled`: every image has the caption of another one, a control. */
  readonly captions: "own" | "shuffled";
  /** Decides on everything random. */
  readonly seed: number;
}

/** What a plan is made of. */
export interface PlanOptions {
  readonly starts: readonly number[];
  readonly shares: readonly number[];
  readonly seeds: readonly number[];
  /** Start and share of the runs with shuffled captions; without it there are none. */
  readonly shuffled?: { readonly start: number; readonly share: number } | undefined;
  /** What all runs have in the place of the usual. */
  readonly variant?: Partial<Variant>;
}

/** All runs, seed after seed, so that a whole figure is there early. @throws {RangeError} If a start or a share is out of range. */
export function planRuns({ starts, shares, seeds, shuffled, variant = {} }: PlanOptions): Run[] {
  requireShares("start", starts, 1);
  requireShares("share", shares, 0.9);
  return seeds.flatMap((seed): Run[] => [
    ...starts.flatMap((start) => shares.map((share): Run => ({ start, share, captions: "own", seed, ...variant }))),
    ...(shuffled ? [{ ...shuffled, captions: "shuffled", seed, ...variant } as const] : []),
  ]);
}

/** A run's name, the same for the same run. */
export function runName({ start, share, captions, seed, ...variant }: Run): string {
  const percent = (x: number) => `${Number((100 * x).toFixed(4))} %`, shuffled = captions === "own" ? "" : " shuffled";
  return `start ${percent(start)}, images ${percent(share)}${shuffled}${variantWords(variant)}, seed ${seed}`;
}

function requireShares(name: string, values: readonly number[], most: number): void {
  const bad = values.find((value) => !(value >= 0 && value <= most));
  if (bad !== undefined) {
    throw new RangeError(`Cannot plan runs: each ${name} must be from 0 to ${most}: one is ${bad}`);
  }
  if (!values.length) throw new RangeError(`Cannot plan runs: there must be a ${name}: there is none`);
}
