/**
 * What the row-wise and indexing ops share: how rows are spread over threads, how kernels are put together.
 *
 * @module
 */
import rows from "../../kernels/rows.wgsl" with { type: "text" };
import flat from "../../kernels/flat.wgsl" with { type: "text" };
import type { DeviceProfile } from "../gpu/device.ts";
import { UnsupportedError } from "../gpu/errors.ts";
import { type Bindings, kernel } from "../gpu/kernel.ts";
import { avoidable, avoids } from "../gpu/kernel_choices.ts";
import type { Specialization } from "../gpu/wgsl.ts";
import type { Aval } from "../program/graph.ts";
import type { Dispatch } from "../program/lowering.ts";

/**
 * What a thread may loop on a CPU adapter: llvmpipe ends every loop of a thread, without a word, once all its loops together
 * have taken 65,535 turns.
 */
export const MOST_TURNS = 60_000;

/** A row-wise kernel for rows of one length. */
export interface RowKernel {
  /** Loads of one row. */
  readonly loads: number;
  /** Its dispatch over a number of rows; the uniform holds that number as `rows`. */
  over(rows: number, bindings: Bindings): Dispatch;
}

/** Elements that one load takes in rows of `length`: they are read as vec4 where that divides them. */
export function widthOf(length: number): 1 | 4 {
  return length % 4 === 0 ? 4 : 1;
}

/** Constants and hooks of a row kernel, and how much it loops. */
export interface RowOptions extends Specialization {
  readonly device: DeviceProfile;
  /** Elements of a row. */
  readonly length: number;
  /** Turns of its loops for a load of the row. Default 3. */
  readonly passes?: number;
  /** Turns besides. Default 0. */
  readonly turns?: number;
}

/** Assembles the row-wise kernel `source`, which defines `fn compute_row(row, lane)` (kernels/rows.wgsl). */
export function rowKernel(name: string, source: string, options: RowOptions): RowKernel {
  const { device, length, consts, hooks = {}, passes = 3, turns = 0 } = options;
  const width = widthOf(length), loads = length / width;
  const lanes = lanesPerRow(device, loads, passes * loads + turns);
  const rowsPerGroup = lanes > 1 ? 1 : device.kind === "cpu" ? 16 : 64;
  const own = {
    VECTOR: width === 4,
    SHARED: lanes > 1,
    LANES: lanes,
    ROWS: rowsPerGroup,
    THREADS: lanes * rowsPerGroup,
  };
  const complete = kernel(name, source, { library: rows, consts: { ...consts, ...own }, hooks });
  return {
    loads,
    over: (count, bindings) => ({ ...complete.bind(bindings), workgroups: Math.ceil(count / rowsPerGroup) }),
  };
}

/** Threads for a row: one on CPU adapters, where barriers cost, as long as it may loop so much; one for very short rows. */
function lanesPerRow(device: DeviceProfile, loads: number, turns: number): number {
  if (avoids(device, avoidable.rows)) return onlyLane(device, turns);
  if (device.kind === "cpu") return [1, 16].find((lanes) => turns / lanes < MOST_TURNS) ?? 256;
  return loads <= 8 ? 1 : loads >= 512 ? 256 : loads >= 64 ? 64 : 32;
}

/** One thread for a row, where kernels whose threads share one give wrong values. */
function onlyLane({ kind }: DeviceProfile, turns: number): 1 {
  if (kind === "gpu" || turns < MOST_TURNS) return 1;
  throw new UnsupportedError(
    `Cannot reduce rows of ${turns} turns: a thread of a CPU adapter takes at most ${MOST_TURNS}, and on this one ` +
      `kernels that share a row gave wrong values ("deno task doctor")`,
  );
}

/** A kernel in which every thread works for itself. */
export interface FlatKernel {
  /** Its dispatch over a number of threads; the uniform holds that number as `count`. */
  over(threads: number, bindings: Bindings): Dispatch;
}

/** Constants and hooks of such a kernel, and how much a thread has to do. */
export interface FlatOptions extends Specialization {
  readonly device: DeviceProfile;
  /** Whether a thread loops over much data: CPU adapters then take small workgroups, to share them out evenly. */
  readonly loops?: boolean;
}

/** Assembles the kernel `source`, which defines `fn compute(id)` (kernels/flat.wgsl). */
export function flatKernel(name: string, source: string, options: FlatOptions): FlatKernel {
  const { device, consts, hooks = {}, loops = false } = options;
  const perGroup = loops && device.kind === "cpu" ? 16 : 128;
  const complete = kernel(name, source, { library: flat, consts: { ...consts, THREADS: perGroup }, hooks });
  return { over: (count, bindings) => ({ ...complete.bind(bindings), workgroups: Math.ceil(count / perGroup) }) };
}

/** Length of the last axis. */
export function lastAxis(input: Aval): number {
  return input.shape[input.shape.length - 1]!;
}
