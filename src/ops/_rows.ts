/**
 * What the row-wise and indexing ops share: how rows are spread over threads, how kernels are put together.
 *
 * @module
 */
import prelude from "../../kernels/prelude.wgsl" with { type: "text" };
import rows from "../../kernels/rows.wgsl" with { type: "text" };
import type { DeviceProfile } from "../gpu/device.ts";
import { type Specialization, specialize } from "../gpu/wgsl.ts";
import type { Aval } from "../program/graph.ts";

/**
 * What a thread may loop on a CPU adapter: llvmpipe ends every loop of a thread, without a word, once all its loops together
 * have taken 65,535 turns.
 */
export const MOST_TURNS = 60_000;

/** A row-wise kernel for rows of one length: its text and how it is launched. */
export interface RowKernel {
  readonly code: string;
  /** Elements that one load takes: 4 where rows divide by it. */
  readonly width: 1 | 4;
  /** Workgroups for a number of rows. */
  workgroups(rows: number): number;
}

/** Constants and hooks of a row kernel, and how much it loops. */
export interface RowOptions extends Specialization {
  /** Turns of its loops for a load of the row. Default 3. */
  readonly passes?: number;
  /** Turns besides. Default 0. */
  readonly turns?: number;
}

/** Assembles the row-wise kernel `source` for rows of `length` elements. */
export function rowKernel(device: DeviceProfile, source: string, length: number, options: RowOptions = {}): RowKernel {
  const { consts, hooks = {}, passes = 3, turns = 0 } = options;
  const width = length % 4 === 0 ? 4 : 1;
  const lanes = lanesPerRow(device, length / width, passes * length / width + turns);
  const rowsPerGroup = lanes > 1 ? 1 : device.kind === "cpu" ? 16 : 64;
  const own = {
    VECTOR: width === 4,
    SHARED: lanes > 1,
    LANES: lanes,
    ROWS: rowsPerGroup,
    THREADS: lanes * rowsPerGroup,
  };
  return {
    code: specialize(prelude + rows + source, { consts: { ...consts, ...own }, hooks }),
    width,
    workgroups: (count) => Math.ceil(count / rowsPerGroup),
  };
}

/** Threads for a row: one on CPU adapters, where barriers cost, as long as it may loop so much; one for very short rows. */
function lanesPerRow(device: DeviceProfile, loads: number, turns: number): number {
  if (device.kind === "cpu") return [1, 16].find((lanes) => turns / lanes < MOST_TURNS) ?? 256;
  return loads <= 8 ? 1 : loads >= 512 ? 256 : loads >= 64 ? 64 : 32;
}

/** A kernel with one result element (or four) a thread: its text and how it is launched. */
export interface FlatKernel {
  readonly code: string;
  workgroups(threads: number): number;
}

/** Constants and hooks of a flat kernel, and how much a thread has to do. */
export interface FlatOptions extends Specialization {
  /** Whether a thread loops over much data: CPU adapters then take small workgroups, to share them out evenly. */
  readonly loops?: boolean;
}

/** Assembles a kernel in which every thread works for itself. */
export function flatKernel(device: DeviceProfile, source: string, options: FlatOptions = {}): FlatKernel {
  const { consts, hooks = {}, loops = false } = options;
  const threads = loops && device.kind === "cpu" ? 16 : 128;
  return {
    code: specialize(prelude + source, { consts: { ...consts, THREADS: threads }, hooks }),
    workgroups: (count) => Math.ceil(count / threads),
  };
}

/** Length of the last axis. */
export function lastAxis(input: Aval): number {
  return input.shape[input.shape.length - 1]!;
}
