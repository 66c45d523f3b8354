/**
 * Dispatches of a matrix product, variant by variant.
 *
 * @module
 */
import type { Dispatch, Emit, Lowering } from "../program/lowering.ts";
import { specialize } from "../gpu/wgsl.ts";
import {
  type MatmulChoice,
  type MatmulSizes,
  type MatmulVariant,
  plainMatmul,
  stagedK,
  tileCount,
  workgroupThreads,
} from "./matmul_variants.ts";
import prelude from "../../kernels/prelude.wgsl" with { type: "text" };
import plain from "../../kernels/matmul.wgsl" with { type: "text" };
import registers from "../../kernels/matmul_registers.wgsl" with { type: "text" };
import workgroup from "../../kernels/matmul_workgroup.wgsl" with { type: "text" };
import sum from "../../kernels/matmul_sum.wgsl" with { type: "text" };

/** One product, ready to be lowered: sizes, and how the operands are stored. */
export interface MatmulProblem extends MatmulSizes {
  /** Whether the operands are stored in f16. */
  readonly halfA: boolean;
  readonly halfB: boolean;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

type Consts = Record<string, number | boolean>;

/** Emits the dispatches of `problem` in the chosen variant, from the inputs of `ctx` to its result. */
export function lowerMatmul(ctx: Lowering, problem: MatmulProblem, { variant, splits }: MatmulChoice): void {
  const { m, n, k, batch, halfA, halfB } = problem;
  if ((halfA || halfB) && !ctx.device.f16) {
    throw new RangeError(
      "Cannot multiply f16 matrices: the adapter has no 16-bit floats (shader-f16): cast them to f32",
    );
  }
  const results = batch * m * n;
  const width = variant.kernel !== "plain" && n % 4 === 0 ? 4 : 1;
  const partial = splits > 1 ? ctx.scratch(4 * splits * results) : undefined;
  const emit = partial ? storeTo(partial, width) : ctx.emit(3, width);
  const part = splits > 1 ? Math.ceil(k / splits / stagedK(variant)) * stagedK(variant) : k;
  const { source, consts, workgroups } = kernelOf(variant, problem);
  ctx.dispatch({
    name: `matmul ${variant.name}${splits > 1 ? " split" : ""}`,
    code: (halfA || halfB ? "enable f16;\n" : "") + prelude + specialize(source, {
      consts: { ...storage(problem), ...consts },
      hooks: { emit: emit.code },
    }),
    bindings: [...ctx.inputs, { words: [m, n, k, batch, m * k, n * k, splits, part] }, ...emit.bindings],
    workgroups: workgroups * splits,
    flop: 2 * results * k,
  });
  if (partial) ctx.dispatch(sumParts(partial, ctx.emit(2, width), width, results, splits));
}

function storage({ transposeA, transposeB, halfA, halfB }: MatmulProblem): Consts {
  return { TRANSPOSE_A: transposeA, TRANSPOSE_B: transposeB, HALF_A: halfA, HALF_B: halfB };
}

/** Kernel text, constants and number of workgroups of a variant. */
function kernelOf(variant: MatmulVariant, p: MatmulProblem): { source: string; consts: Consts; workgroups: number } {
  const { tile: [tileRows, tileColumns], thread: [rows, vecs], share = false } = variant;
  if (variant === plainMatmul) {
    return { source: plain, consts: {}, workgroups: Math.ceil(p.batch * p.m * p.n / 64) };
  }
  const common = {
    VEC_A: (p.transposeA ? p.m : p.k) % 4 === 0,
    VEC_B: (p.transposeB ? p.k : p.n) % 4 === 0,
    WIDE: p.n % 4 === 0,
    ROWS: rows,
    VECS: vecs,
  };
  const workgroups = tileCount(variant, p);
  if (variant.kernel === "registers") {
    const lanes = workgroupThreads(variant), emits = 2;
    const consts = {
      ...{ ...common, TAIL: p.k % 4 !== 0, SHARE: share, LANES: lanes, LOADS: share ? rows / lanes : rows },
      ...{ GROUPS: rows / 4, EMITS: emits, SHIFTS: (rows - emits) * vecs },
    };
    return { source: registers, consts, workgroups };
  }
  const consts = {
    ...{ ...common, THREADS_X: tileColumns / (4 * vecs), THREADS_Y: tileRows / rows, STAGED: stagedK(variant) },
    ...{ GROUPS: rows / 4, SHIFTS: (rows - 1) * vecs },
  };
  return { source: workgroup, consts, workgroups };
}

/** A writer of partial sums. */
function storeTo(ref: ReturnType<Lowering["scratch"]>, width: 1 | 4): Emit {
  const type = width === 4 ? "vec4<f32>" : "f32";
  return {
    code: `alias V = ${type};
@group(0) @binding(3) var<storage, read_write> partial: array<${type}>;
fn emit(i: u32, v: V) { partial[i / ${width}u] = v; }
`,
    bindings: [ref],
  };
}

/** Adds the parts of the inner axis. */
function sumParts(
  partial: ReturnType<Lowering["scratch"]>,
  emit: Emit,
  width: 1 | 4,
  results: number,
  parts: number,
): Dispatch {
  return {
    name: "matmul sum of parts",
    code: prelude + specialize(sum, { consts: { WIDE: width === 4 }, hooks: { emit: emit.code } }),
    bindings: [partial, { words: [results, parts] }, ...emit.bindings],
    workgroups: Math.ceil(results / width / 64),
    flop: results * (parts - 1),
  };
}
