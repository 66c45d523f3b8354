/**
 * The grouping search on the GPU: similarities by matrix products, one walk per sub-queue.
 *
 * @module
 */
import { defaultDevice, type DeviceProfile } from "../gpu/device.ts";
import { gather } from "../ops/gather.ts";
import { groupingWalk } from "../ops/grouping_walk.ts";
import { matmul } from "../ops/matmul.ts";
import { reshape } from "../ops/shape.ts";
import { compile, type Compiled, tensor, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { placeholder } from "../program/program.ts";
import type { Grouping, GroupingSearch } from "./sampler.ts";

type Walks = Compiled<[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor>;

/** How many of `count` sub-queues of `m` pairs are walked at a time: those whose similarities fit in one binding. */
export function subQueuesTogether({ maxBindingBytes }: DeviceProfile, count: number, m: number): number {
  return Math.max(1, Math.min(count, Math.floor(maxBindingBytes / (4 * m * m))));
}

/** Chains of the sub-queues that `rows` [G, M] picks from features [L, d], to be traced; see {@linkcode groupingWalk}. */
export function walkSubQueues(image: Tensor, text: Tensor, rows: Tensor, starts: Tensor, sizes: Tensor): Tensor {
  const [groups, length] = rows.shape as [number, number];
  const pick = (features: Tensor): Tensor => reshape(gather(features, rows), [groups, length, features.shape[1]!]);
  const u = pick(image), v = pick(text);
  const similarity = (a: Tensor, b: Tensor): Tensor => matmul(a, b, { transposeB: true });
  return groupingWalk(similarity(u, v), similarity(v, u), starts, sizes);
}

/** A grouping search that holds memory on the GPU. */
export interface GpuGrouping extends GroupingSearch<Tensor> {
  /** Frees it. */
  destroy(): void;
}

/**
 * Groups features `[L, d]` that are on the GPU. As many sub-queues are taken at a time as have their similarities in one
 * binding, and it waits once for each time.
 */
export function gpuGrouping(): GpuGrouping {
  let walks: Walks | undefined;
  const group: GroupingSearch<Tensor> = async (image, text, grouping) => {
    const { subQueues } = grouping, m = subQueues[0]!;
    const together = subQueuesTogether((await defaultDevice()).profile, subQueues.length, m);
    walks ??= compile(walkSubQueues);
    const chains: ArrayLike<number>[] = [];
    for (let first = 0; first < subQueues.length; first += together) {
      const { rows, starts, sizes } = padded(grouping, first, together);
      const shape = [together, m];
      const found = await walks(image, text, tensor(rows, shape), tensor(starts), tensor(sizes));
      const flat = await toHost(found);
      for (let g = 0; g < together && first + g < subQueues.length; g++) {
        chains.push(flat.subarray(g * m, g * m + subQueues[first + g]!));
      }
    }
    return chains;
  };
  return Object.assign(group, { destroy: () => walks?.destroy() });
}

/** Sub-queues [first, first + count) in arrays of one size: absent rows are row 0 and absent sub-queues have size 1. */
function padded(
  { permutation, subQueues, starts }: Grouping,
  first: number,
  count: number,
): Record<"rows" | "starts" | "sizes", Uint32Array> {
  const m = subQueues[0]!;
  const own = permutation.subarray(first * m, (first + count) * m);
  const rows = new Uint32Array(count * m), begin = new Uint32Array(count), sizes = new Uint32Array(count).fill(1);
  rows.set(own);
  begin.set(starts.subarray(first, first + count));
  sizes.set(subQueues.subarray(first, first + count));
  return { rows, starts: begin, sizes };
}

/** Bytes of GPU memory that grouping takes beside training: queues of `rows` features, sub-queues of `m`. */
export async function groupingBytes(embedding: number, rows: number, m: number): Promise<number> {
  const together = subQueuesTogether((await defaultDevice()).profile, Math.ceil(rows / m), m);
  const features = (): Tensor => placeholder({ shape: [rows, embedding], dtype: "f32" });
  const u32 = (...shape: number[]): Tensor => placeholder({ shape, dtype: "u32" });
  const walks = await compile(walkSubQueues).program(
    features(),
    features(),
    u32(together, m),
    u32(together),
    u32(together),
  );
  return walks.arenaBytes + walks.constantBytes + 4 * together * (2 * m + 2);
}
