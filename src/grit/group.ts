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

/** Bytes of similarities that are held at a time, beside training, unless one sub-queue alone has more. */
const SIMILARITY_BYTES = 64 * 2 ** 20;

/**
 * How many of `count` sub-queues of `m` pairs are walked at a time: those whose similarities are at most 64 MiB and fit in one
 * binding, spread evenly over the turns.
 */
export function subQueuesTogether({ maxBindingBytes }: DeviceProfile, count: number, m: number): number {
  const most = Math.max(1, Math.floor(Math.min(SIMILARITY_BYTES, maxBindingBytes) / (4 * m * m)));
  return Math.ceil(count / Math.ceil(count / most));
}

/** Chains of the sub-queues that `rows` [G, M] picks from features [L, d], to be traced; see {@linkcode groupingWalk}. */
export function walkSubQueues(image: Tensor, text: Tensor, rows: Tensor, starts: Tensor, sizes: Tensor): Tensor {
  const [groups, length] = rows.shape as [number, number];
  const pick = (features: Tensor): Tensor => reshape(gather(features, rows), [groups, length, features.shape[1]!]);
  return groupingWalk(matmul(pick(image), pick(text), { transposeB: true }), starts, sizes);
}

/** A grouping search that holds memory on the GPU. */
export interface GpuGrouping extends GroupingSearch<Tensor> {
  /** Frees it. */
  destroy(): void;
}

/**
 * Groups features `[L, d]` that are on the GPU. The sub-queues are taken in turns of at most 64 MiB of similarities (or one
 * sub-queue, if it has more), fewer where a binding of the adapter holds less. It waits once, for the chains of all turns.
 */
export function gpuGrouping(): GpuGrouping {
  const walks: Walks = compile(walkSubQueues);
  let m = 0;
  const group: GroupingSearch<Tensor> = async (image, text, grouping) => {
    // A rest shorter than a sub-queue is padded to those before, so that there is one program with its memory.
    if (grouping.subQueues[0]! > m) {
      walks.destroy();
      m = grouping.subQueues[0]!;
    }
    const together = subQueuesTogether((await defaultDevice()).profile, Math.ceil(image.shape[0]! / m), m);
    const turns: Tensor[] = [];
    for (let first = 0; first < grouping.subQueues.length; first += together) {
      const { rows, starts, sizes } = padded(grouping, m, first, together);
      turns.push(await walks(image, text, tensor(rows, [together, m]), tensor(starts), tensor(sizes)));
    }
    const found = await toHost(turns);
    return Array.from(grouping.subQueues, (size, g) => {
      const at = g % together * m;
      return found[Math.floor(g / together)]!.subarray(at, at + size);
    });
  };
  return Object.assign(group, { destroy: () => walks.destroy() });
}

/** Sub-queues [first, first + count) in arrays of one size: absent rows are row 0 and absent sub-queues have size 1. */
function padded(
  { permutation, subQueues, starts }: Grouping,
  m: number,
  first: number,
  count: number,
): Record<"rows" | "starts" | "sizes", Uint32Array> {
  const rows = new Uint32Array(count * m), begin = new Uint32Array(count), sizes = new Uint32Array(count).fill(1);
  rows.set(permutation.subarray(first * m, (first + count) * m));
  begin.set(starts.subarray(first, first + count));
  sizes.set(subQueues.subarray(first, first + count));
  return { rows, starts: begin, sizes };
}

/**
 * Bytes of GPU memory that grouping takes beside training: queues of `rows` features, sub-queues of `m`. They are the
 * similarities, gathered features and rows of a turn, and the chains of all turns.
 */
export async function groupingBytes(embedding: number, rows: number, m: number): Promise<number> {
  const count = Math.ceil(rows / m), together = subQueuesTogether((await defaultDevice()).profile, count, m);
  const features = (): Tensor => placeholder({ shape: [rows, embedding], dtype: "f32" });
  const u32 = (...shape: number[]): Tensor => placeholder({ shape, dtype: "u32" });
  const args = [features(), features(), u32(together, m), u32(together), u32(together)] as const;
  const { arenaBytes, constantBytes } = await compile(walkSubQueues).program(...args);
  const inputs = together * (m + 2), chains = Math.ceil(count / together) * together * m;
  return arenaBytes + constantBytes + 4 * (inputs + 2 * chains); // chains once more where they are read back
}
