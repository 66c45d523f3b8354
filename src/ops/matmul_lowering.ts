/**
 * Dispatches of a matrix product, variant by variant.
 *
 * @module
 */
import { kernel } from "../gpu/kernel.ts";
import type { BufferRef, Dispatch, Emit, Lowering } from "../program/lowering.ts";
import { UnsupportedError } from "../gpu/errors.ts";
import {
  type MatmulChoice,
  matmulName,
  type MatmulSizes,
  type MatmulVariant,
  stagedK,
  tileCount,
  workgroupThreads,
} from "./matmul_variants.ts";
import plain from "../../kernels/matmul.wgsl" with { type: "text" };
import registers from "../../kernels/matmul_registers.wgsl" with { type: "text" };
import workgroup from "../../kernels/matmul_workgroup.wgsl" with { type: "text" };
import sum from "../../kernels/matmul_sum.wgsl" with { type: "text" };

/** Operands of which one matrix serves the whole batch. */
export interface SharedOperands {
  readonly sharedA?: boolean;
  readonly sharedB?: boolean;
}

/** One product, ready to be lowered: sizes, and how the operands are stored. */
export interface MatmulProblem extends MatmulSizes, SharedOperands {
  /** Whether the operands are stored in f16. */
  readonly halfA: boolean;
  readonly halfB: boolean;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

type Consts = Record<string, number | boolean>;

/** Threads of a workgroup where each owns one result. */
const THREADS = 64;

/** Emits the dispatches of `problem` in the chosen variant, from the inputs of `ctx` to its result. */
export function lowerMatmul(ctx: Lowering, problem: MatmulProblem, { variant, splits }: MatmulChoice): void {
  const { m, n, k, batch, halfA, halfB } = problem;
  if ((halfA || halfB) && !ctx.device.f16) {
    throw new UnsupportedError(
      "Cannot multiply f16 matrices: the adapter has no 16-bit floats (shader-f16): cast them to f32",
    );
  }
  const results = batch * m * n;
  const width = variant.kernel !== "plain" && n % 4 === 0 ? 4 : 1;
  const partial = splits > 1 ? ctx.scratch(4 * splits * results) : undefined;
  const emit = partial ? storeTo(partial, width) : ctx.emit(width);
  const { source, consts, workgroups } = kernelOf(variant, problem);
  const product = kernel(`${matmulName(variant)}${splits > 1 ? " split" : ""}`, source, {
    consts: { ...storage(problem), ...consts },
    hooks: { emit: emit.code },
  });
  const [a, b] = ctx.inputs;
  const strides = { a_stride: problem.sharedA ? 0 : m * k, b_stride: problem.sharedB ? 0 : n * k };
  const sizes = { m, n, k, batch, ...strides, ...partSizes(variant, k, splits) };
  ctx.dispatch({
    ...product.bind({ a, b, sizes, ...emit.bindings }),
    workgroups: workgroups * splits,
    flop: 2 * results * k,
  });
  if (partial) ctx.dispatch(sumParts(partial, ctx.emit(width), width, results, splits));
}

/** How the inner axis is cut, for the kernel that can cut it. */
function partSizes(variant: MatmulVariant, k: number, parts: number): { parts?: number; part?: number } {
  if (variant.kernel !== "workgroup") return {};
  const staged = stagedK(variant);
  return { parts, part: parts > 1 ? Math.ceil(k / parts / staged) * staged : k };
}

function storage({ transposeA, transposeB, halfA, halfB }: MatmulProblem): Consts {
  return { TRANSPOSE_A: transposeA, TRANSPOSE_B: transposeB, HALF_A: halfA, HALF_B: halfB };
}

/** Kernel text, constants and number of workgroups of a variant. */
function kernelOf(variant: MatmulVariant, p: MatmulProblem): { source: string; consts: Consts; workgroups: number } {
  switch (variant.kernel) {
    case "plain":
      return { source: plain, consts: { THREADS }, workgroups: Math.ceil(p.batch * p.m * p.n / THREADS) };
    case "registers":
      return { source: registers, consts: registerConsts(variant, p), workgroups: tileCount(variant, p) };
    case "workgroup":
      return { source: workgroup, consts: workgroupConsts(variant, p), workgroups: tileCount(variant, p) };
  }
}

function registerConsts(variant: MatmulVariant, p: MatmulProblem): Consts {
  const [rows, vecs] = variant.thread, lanes = workgroupThreads(variant), share = variant.share ?? false;
  const emits = 2; // fewer are slower, more take longer to compile
  return {
    ...tileConsts(variant, p),
    TAIL: p.k % 4 !== 0,
    SHARE: share,
    LANES: lanes,
    LOADS: share ? rows / lanes : rows,
    EMITS: emits,
    SHIFTS: (rows - emits) * vecs,
  };
}

function workgroupConsts(variant: MatmulVariant, p: MatmulProblem): Consts {
  const { tile: [tileRows, tileColumns], thread: [rows, vecs] } = variant;
  return {
    ...tileConsts(variant, p),
    THREADS_X: tileColumns / (4 * vecs),
    THREADS_Y: tileRows / rows,
    STAGED: stagedK(variant),
    SHIFTS: (rows - 1) * vecs,
  };
}

function tileConsts({ thread: [rows, vecs] }: MatmulVariant, p: MatmulProblem): Consts {
  return {
    VEC_A: (p.transposeA ? p.m : p.k) % 4 === 0,
    VEC_B: (p.transposeB ? p.k : p.n) % 4 === 0,
    WIDE: p.n % 4 === 0,
    ROWS: rows,
    VECS: vecs,
    GROUPS: rows / 4,
  };
}

/** A writer of partial sums. */
export function storeTo(partial: BufferRef, width: 1 | 4): Emit {
  const type = width === 4 ? "vec4<f32>" : "f32";
  return {
    code: `alias V = ${type};
@group(0) @binding(0) var<storage, read_write> partial: array<${type}>;
fn emit(i: u32, v: V) { partial[i / ${width}u] = v; }
`,
    bindings: { partial },
  };
}

/** Adds the parts of the inner axis. */
export function sumParts(
  partial: BufferRef,
  emit: Emit,
  width: 1 | 4,
  results: number,
  parts: number,
): Dispatch {
  const options = { consts: { WIDE: width === 4, THREADS }, hooks: { emit: emit.code } };
  return {
    ...kernel("sum of parts", sum, options).bind({ partial, sizes: { results, parts }, ...emit.bindings }),
    workgroups: Math.ceil(results / width / THREADS),
    flop: results * (parts - 1),
  };
}
