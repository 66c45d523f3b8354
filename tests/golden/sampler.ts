/** The sets of the GRIT sampler, each by the walk on the CPU and by the kernel. */
import { groupOnCpu } from "../../src/grit/walk.ts";
import type { GroupingSearch } from "../../src/grit/sampler.ts";
import type { Features } from "../../src/grit/walk.ts";
import { groupOnGpu } from "../grit/gpu_walk.ts";
import { type Golden, type Loose, Verdict } from "./golden.ts";
import { checkEpoch, checkGroup, checkTies, type Tensors } from "./grit.ts";

const walks = { CPU: groupOnCpu, kernel: groupOnGpu } as const;

/** A check that throws where an order differs, as one that fills in a verdict. All tensors of the file are its input or its result. */
function withBothWalks(
  compared: (verdict: Verdict) => readonly string[],
  check: (tensors: Tensors, verdict: Verdict, group: GroupingSearch<Features>) => Promise<void>,
): (golden: Golden, file: string) => Promise<Verdict> {
  return async (golden, file) => {
    const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
    const names = compared(verdict);
    if (names.length === 0) throw new Error("the file holds no order");
    for (const [walk, group] of Object.entries(walks)) {
      await check(verdict.values as Tensors, verdict, group);
      for (const name of names) verdict.holds(`${name} (${walk})`, true);
    }
    verdict.skip(...verdict.values.keys());
    return verdict;
  };
}

/** `group_*`. */
export const groupSet: (golden: Golden, file: string) => Promise<Verdict> = withBothWalks(
  ({ values }) => [...values.keys()].filter((name) => name.startsWith("order_start")),
  async (tensors, _, group) => await checkGroup(tensors, group),
);

/** `epoch_*`. */
export const epochSet: (golden: Golden, file: string) => Promise<Verdict> = withBothWalks(
  () => ["G_before_shuffle", "G_final"],
  async (tensors, { entry }, group) => await checkEpoch(tensors, entry.config, group),
);

/** `grouping_ties`: a permutation, and every step as good as the best. Which of equals is taken is no part of it. */
export const tiesSet: (golden: Golden, file: string) => Promise<Verdict> = withBothWalks(
  ({ entry }) => Object.keys(entry.scalars),
  async (tensors, { entry }, group) => {
    const starts = Object.entries(entry.scalars as Record<string, Loose>).map(([name, { start }]) => [name, start]);
    await checkTies(tensors, Object.fromEntries(starts), group, false);
  },
);
