/**
 * Which models are trained.
 *
 * @module
 */

/** A model: where its branch leaves the main run, with how many images, and the control that it may be. */
export interface Run {
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
}

/** All runs, seed after seed, so that a whole figure is there early. @throws {RangeError} If a start or a share is out of range. */
export function planRuns({ starts, shares, seeds, shuffled }: PlanOptions): Run[] {
  requireShares("start", starts, 1);
  requireShares("share", shares, 0.9);
  return seeds.flatMap((seed): Run[] => [
    ...starts.flatMap((start) => shares.map((share): Run => ({ start, share, captions: "own", seed }))),
    ...(shuffled ? [{ ...shuffled, captions: "shuffled", seed } as const] : []),
  ]);
}

/** A run's name, the same for the same run. */
export function runName({ start, share, captions, seed }: Run): string {
  const percent = (x: number) => `${Number((100 * x).toFixed(4))} %`;
  return `start ${percent(start)}, images ${percent(share)}${captions === "own" ? "" : " shuffled"}, seed ${seed}`;
}

function requireShares(name: string, values: readonly number[], most: number): void {
  const bad = values.find((value) => !(value >= 0 && value <= most));
  if (bad !== undefined) {
    throw new RangeError(`Cannot plan runs: each ${name} must be from 0 to ${most}: one is ${bad}`);
  }
  if (!values.length) throw new RangeError(`Cannot plan runs: there must be a ${name}: there is none`);
}
