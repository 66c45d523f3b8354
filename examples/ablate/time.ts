/** What the samplers cost: epochs of random, grouped and naive mini-batches, in turn, on a machine that does nothing else. */
import type { RunKey } from "./rows.ts";
import { secondsOf, type Start } from "./run.ts";
import type { World } from "./world.ts";

/** An epoch's time in one round. */
export interface EpochTime {
  readonly run: RunKey;
  readonly round: number;
  readonly secondsPerEpoch: number;
}

const ROUNDS = 3;

/** Seconds of an epoch of each sampler, in turn. */
export async function timeSamplers(world: World, start: Start, progress: (line: string) => void): Promise<EpochTime[]> {
  const times: EpochTime[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    for (const run of ["albef-base-50", "grit-50", "naive-50"] as const) {
      times.push({ run, round, secondsPerEpoch: await secondsOf(world, run, round, start, progress) });
    }
  }
  return times;
}
