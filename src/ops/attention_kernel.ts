/**
 * What the forward and the backward kernels of attention share: sizes, and how a head is spread over threads.
 *
 * @module
 */
import heads from "../../kernels/attention_heads.wgsl" with { type: "text" };
import random from "../../kernels/random.wgsl" with { type: "text" };
import { type DeviceProfile, sharingLanes } from "../gpu/device.ts";
import { type Kernel, kernel } from "../gpu/kernel.ts";
import { avoidable, avoids } from "../gpu/kernel_choices.ts";
import type { Node } from "../program/graph.ts";

/** What an attention node is told besides its inputs. */
export interface AttentionAttrs {
  readonly heads: number;
  readonly scale: number;
  readonly causal: boolean;
  /** Whether a mask follows q, k, v. */
  readonly masked: boolean;
  /** Whether a row whose keys are all masked is 0. */
  readonly maskedZero?: boolean;
  /** Dropout of the probabilities; the key is the last input. */
  readonly dropout?: { readonly probability: number; readonly stream: number };
}

/** Sizes of one attention. */
export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  readonly tq: number;
  readonly tk: number;
  /** Columns of all heads. */
  readonly depth: number;
  /** Columns of a head. */
  readonly width: number;
  /** Columns of all heads of keys. */
  readonly keyDepth: number;
  /** Steps in the mask from one batch, head and row to the next; 0 where it is the same. */
  readonly mask: { readonly batch: number; readonly head: number; readonly row: number };
  /** Scores that are computed, over all heads. */
  readonly scores: number;
}

/** The sizes of a node whose first inputs are q, k, v and the mask if there is one. */
export function attentionSizes(node: Node<AttentionAttrs>): AttentionSizes {
  const [batch, tq, depth] = node.inputs[0]!.shape as [number, number, number];
  const [, tk, keyDepth] = node.inputs[1]!.shape as [number, number, number];
  const { heads, causal, masked } = node.attrs;
  const scores = batch * heads * (causal ? seenKeys(tq, tk) : tq * tk);
  const mask = maskSteps(masked ? node.inputs[3]!.shape : []);
  return { batch, heads, tq, tk, depth, width: depth / heads, keyDepth, mask, scores };
}

/** Keys that all rows of causal attention see: the last row all, each before it one less. */
function seenKeys(tq: number, tk: number): number {
  const rows = Math.min(tq, tk);
  return rows * (tk - (rows - 1) / 2);
}

/** Steps in a mask of [B, Tk], or of [B, heads, Tq, Tk] where all but Tk may be 1. */
function maskSteps(shape: readonly number[]): AttentionSizes["mask"] {
  const [batch = 1, heads = 1, rows = 1, keys = 1] = shape.length === 2 ? [shape[0], 1, 1, shape[1]] : shape;
  const step = (length: number, of: number): number => length > 1 ? of : 0;
  return { batch: step(batch, heads * rows * keys), head: step(heads, rows * keys), row: step(rows, keys) };
}

/** Whether a row may have no key that counts. */
function mayBeEmpty({ causal, maskedZero }: AttentionAttrs, { tq, tk }: AttentionSizes): boolean {
  return !!maskedZero || (causal && tk < tq);
}

/** Dropout compares 16 random bits of each score with a threshold. */
export const DROPOUT_STEPS: number = 2 ** 16;

/** The threshold of a probability: how many of the 2^16 values of a score's bits drop it. */
export function dropoutThreshold(probability: number): number {
  return Math.round(probability * DROPOUT_STEPS);
}

/** The uniform of both kernels. */
export function sizesUniform(
  { batch, heads, tq, tk, depth, keyDepth, mask }: AttentionSizes,
  { scale, dropout }: AttentionAttrs,
): Record<string, number> {
  const threshold = dropoutThreshold(dropout?.probability ?? 0);
  const keep = DROPOUT_STEPS / (DROPOUT_STEPS - threshold);
  return {
    ...{ batch, heads, tq, tk, depth, key_depth: keyDepth, sharers: depth / keyDepth },
    ...{ mask_batch: mask.batch, mask_head: mask.head, mask_row: mask.row },
    ...{ stream: dropout?.stream ?? 0, threshold, scale, keep },
  };
}

type Consts = Readonly<Record<string, boolean>>;

/** Completes a kernel of attention that reads and writes heads through the arrays named. */
export function attentionKernel(
  name: string,
  source: string,
  plan: AttentionPlan,
  node: { readonly attrs: AttentionAttrs; readonly sizes: AttentionSizes },
  options: { readonly reads: readonly string[]; readonly writes: readonly string[]; readonly consts?: Consts },
): Kernel {
  const { reads, writes, consts } = options, { attrs, sizes } = node;
  const byRow = sizes.mask.row > 0;
  const masks = { MASK_KEYS: attrs.masked && !byRow, MASK_ROWS: attrs.masked && byRow };
  const empty = { EMPTY: mayBeEmpty(attrs, sizes), MASKED_ZERO: !!attrs.maskedZero };
  const flags = { ...masks, CAUSAL: attrs.causal, DROPOUT: !!attrs.dropout };
  return kernel(name, source, {
    library: (attrs.dropout ? random : "") + heads,
    consts: {
      ...plan,
      OWNED: plan.ROWS * plan.OWN,
      WHOLE: plan.WIDTH % 4 === 0,
      ...flags,
      ...(consts ?? empty),
    },
    lists: { READS: reads, WRITES: writes },
  });
}

/** The kernel that puts what the backward kernels read of each row into one buffer. */
export function attentionPackKernel(source: string, width: number, dropout: boolean): Kernel {
  return kernel("attentionGrad pack", source, {
    library: heads,
    consts: {
      WIDTH: width,
      PARTS: Math.ceil(width / 4),
      WHOLE: width % 4 === 0,
      DROPOUT: dropout,
      THREADS: PACK_THREADS,
    },
    lists: { READS: ["grad", "out"], WRITES: [] },
  });
}

/** Threads of a workgroup of that kernel, each with a row. */
export const PACK_THREADS = 64;

/** Constants of both kernels: who computes what. */
export interface AttentionPlan {
  readonly WIDTH: number;
  readonly PARTS: number;
  readonly ROWS: number;
  readonly KEYS: number;
  readonly THREADS: number;
  readonly HEIGHT: number;
  readonly SPLIT: number;
  readonly OWN: number;
  readonly LOADS: number;
  readonly TILE: number;
  readonly SHARED: boolean;
  readonly EXCHANGE: boolean;
}

/** Columns that a thread of a CPU adapter owns at most: more would run a little faster and take much longer to compile. */
const MOST_COLUMNS = 192;

/** Spreads `rows` rows of a head over threads. */
export function attentionPlan(device: DeviceProfile, width: number, rows: number): AttentionPlan {
  const head = { WIDTH: width, PARTS: Math.ceil(width / 4) };
  const alone = avoids(device, avoidable.attention);
  if (device.kind === "cpu" || alone) return { ...head, ...lanePlan(alone ? 0 : sharingLanes(device), width, rows) };
  return { ...head, ...workgroupPlan(device, head.PARTS) };
}

type Spread = Omit<AttentionPlan, "WIDTH" | "PARTS">;

/** One subgroup of `lanes` is a workgroup, or 8 threads where none share (0); a thread owns whole heads of some rows. */
function lanePlan(lanes: number, width: number, rows: number): Spread {
  const parts = Math.ceil(width / 4), threads = lanes || 8;
  // Narrow heads are loaded several at a step, so that no lane is idle.
  const keys = [1, 2, 4].find((n) => n * parts >= threads) ?? 8;
  return {
    ROWS: rowsPerLane(rows, threads, Math.floor(MOST_COLUMNS / width)),
    KEYS: lanes ? keys : 2,
    THREADS: threads,
    HEIGHT: threads,
    SPLIT: 1,
    OWN: parts,
    LOADS: Math.ceil(keys * parts / threads),
    TILE: 8,
    SHARED: false,
    EXCHANGE: lanes > 0,
  };
}

/** Vec4 of a head that a thread of a workgroup owns at most: with their gradients 64 registers, which every GPU has. */
const MOST_OWNED = 4;

/** A workgroup's threads own one row each, or a part of one where heads are wide. */
function workgroupPlan(device: DeviceProfile, parts: number): Spread {
  const most = Math.max(MOST_OWNED, Math.ceil(8 * parts / device.workgroupThreads));
  const owned = largestDivisor(parts, most), split = parts / owned;
  const height = Math.max(8, Math.floor(64 / split / 8) * 8), threads = height * split;
  const tile = [8, 4, 2].find((n) => tileBytes(n, parts, height, threads) <= device.workgroupBytes) ?? 1;
  return {
    ROWS: 1,
    KEYS: 1,
    THREADS: threads,
    HEIGHT: height,
    SPLIT: split,
    OWN: owned,
    LOADS: 0,
    TILE: tile,
    SHARED: true,
    EXCHANGE: false,
  };
}

/** Workgroup memory of the gradient, which takes most: two tiles, a pair of numbers of each thread, random bits of each row. */
function tileBytes(tile: number, parts: number, height: number, threads: number): number {
  return 2 * tile * parts * 16 + tile * (threads + 1) * 8 + Math.max(height, tile * height / 8) * 16;
}

function largestDivisor(n: number, most: number): number {
  let divisor = Math.min(n, most);
  while (n % divisor) divisor--;
  return divisor;
}

/** Rows of each thread: loading what streams by costs a workgroup about as much as the arithmetic of one row a lane. */
function rowsPerLane(rows: number, threads: number, most: number): number {
  const cost = (owned: number) => Math.ceil(rows / (threads * owned)) * (1 + owned);
  let best = 1;
  for (let owned = 2; owned <= most; owned++) if (cost(owned) < cost(best)) best = owned;
  return best;
}
