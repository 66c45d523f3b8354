/** The walk kernel behind the interface of the CPU walk. */
import { groupingWalkOp } from "../../src/ops/grouping_walk.ts";
import type { Features } from "../../src/grit/walk.ts";
import type { GroupingSearch } from "../../src/grit/sampler.ts";
import type { Device } from "../../src/gpu/device.ts";
import { runOp } from "../testing/run_op.ts";
import { similarity } from "./features.ts";

/** One sub-queue: rows of the features and where the walk starts. */
export interface SubQueue {
  readonly rows: ArrayLike<number>;
  readonly start: number;
}

/** Chains of the sub-queues, padded to the largest one, walked in one dispatch. */
export async function gpuWalks(
  image: Features,
  text: Features,
  subQueues: readonly SubQueue[],
  device?: Device,
): Promise<Uint32Array[]> {
  const m = Math.max(...subQueues.map(({ rows }) => rows.length));
  return await walkOverSimilarities(
    m,
    subQueues.map(({ rows, start }) => ({
      similarity: similarity(image, text, rows),
      size: rows.length,
      start,
    })),
    device,
  );
}

/** A sub-queue given by its similarities, `[size, size]`, of images (rows) and texts. */
export interface Similarities {
  readonly similarity: Float32Array;
  readonly size: number;
  readonly start: number;
}

/** Chains over given similarities; every chain has the full length `m`. */
export async function walkOverSimilarities(
  m: number,
  groups: readonly Similarities[],
  device?: Device,
): Promise<Uint32Array[]> {
  const [chain] = await runOp(
    groupingWalkOp,
    [
      { data: padded(m, groups.map((g) => [g.similarity, g.size])), shape: [groups.length, m, m] },
      { data: Uint32Array.from(groups, (g) => g.start), shape: [groups.length], dtype: "u32" },
      { data: Uint32Array.from(groups, (g) => g.size), shape: [groups.length], dtype: "u32" },
    ],
    null,
    device,
  );
  return groups.map((_, g) => (chain as Uint32Array).slice(g * m, (g + 1) * m));
}

/** Matrices `[size, size]` in the corners of matrices `[m, m]` whose other elements would win every arg-max. */
function padded(m: number, matrices: readonly (readonly [Float32Array, number])[]): Float32Array {
  const out = new Float32Array(matrices.length * m * m).fill(1e30);
  matrices.forEach(([matrix, size], g) => {
    for (let i = 0; i < size; i++) out.set(matrix.subarray(i * size, (i + 1) * size), (g * m + i) * m);
  });
  return out;
}

/** All sub-queues of a grouping in one dispatch. */
export const groupOnGpu: GroupingSearch<Features> = async (image, text, { permutation, subQueues, starts }) => {
  const queues = Array.from(subQueues, (size, g) => {
    const at = g * subQueues[0]!;
    return { rows: permutation.subarray(at, at + size), start: starts[g]! };
  });
  const chains = await gpuWalks(image, text, queues);
  return chains.map((chain, g) => chain.subarray(0, subQueues[g]));
};
