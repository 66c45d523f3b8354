/**
 * What the forward and the backward kernels of attention share: sizes, bindings, and how a head is spread over threads.
 *
 * @module
 */
import type { DeviceProfile } from "../gpu/device.ts";
import type { Node } from "../program/graph.ts";
import { type BufferRef, f32Bits, type Uniform } from "../program/lowering.ts";

/** What an attention node is told besides its inputs. */
export interface AttentionAttrs {
  readonly heads: number;
  readonly scale: number;
  readonly causal: boolean;
  /** Whether a mask follows q, k, v. */
  readonly masked: boolean;
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
  /** Scores that are computed, over all heads. */
  readonly scores: number;
}

/** The sizes of a node whose first inputs are q and k. */
export function attentionSizes(node: Node<AttentionAttrs>): AttentionSizes {
  const [batch, tq, depth] = node.inputs[0]!.shape as [number, number, number];
  const { heads, causal } = node.attrs;
  const tk = node.inputs[1]!.shape[1]!;
  const scores = batch * heads * tq * (causal ? (tq + 1) / 2 : tk);
  return { batch, heads, tq, tk, depth, width: depth / heads, scores };
}

/** WGSL of the uniform buffer that {@linkcode sizesUniform} fills. */
const sizesStruct = `struct Sizes {
  batch: u32, heads: u32, tq: u32, tk: u32, depth: u32, stream: u32, threshold: u32, scale: f32, keep: f32,
}
`;

/** The uniform buffer of both kernels. `keep` is 1 / (1 - p) for the p that 16 bits can say. */
export function sizesUniform({ batch, heads, tq, tk, depth }: AttentionSizes, attrs: AttentionAttrs): Uniform {
  const threshold = Math.round((attrs.dropout?.probability ?? 0) * 65536);
  const keep = 65536 / (65536 - threshold);
  const stream = attrs.dropout?.stream ?? 0;
  return { words: [batch, heads, tq, tk, depth, stream, threshold, f32Bits(attrs.scale), f32Bits(keep)] };
}

/** Constants of both kernels: who computes what. */
export interface AttentionPlan {
  readonly WIDTH: number;
  readonly PARTS: number;
  readonly ROWS: number;
  readonly KEYS: number;
  readonly THREADS: number;
  readonly LOADS: number;
  readonly TILE: number;
  readonly SHARED: boolean;
}

/**
 * Spreads `rows` rows of a head over threads. `most` bounds the columns that a thread of a CPU adapter owns: more would run a
 * little faster and take much longer to compile.
 */
export function attentionPlan(device: DeviceProfile, width: number, rows: number, most: number): AttentionPlan {
  const parts = Math.ceil(width / 4);
  if (device.kind !== "cpu" || !device.subgroups || device.subgroupSize !== 8) {
    // Two tiles in workgroup memory, beside at most 2 KiB of random bits.
    const tile = [32, 16].find((keys) => 2 * keys * parts * 16 + 2048 <= device.workgroupBytes) ?? 8;
    return {
      WIDTH: width,
      PARTS: parts,
      ROWS: 1,
      KEYS: width > 64 ? 2 : 4,
      THREADS: 64,
      LOADS: 0,
      TILE: tile,
      SHARED: true,
    };
  }
  // Heads of less than 8 vec4 are loaded several at a step, so that no lane is idle.
  const keys = [1, 2, 4].find((n) => n * parts >= 8) ?? 8;
  const loads = Math.ceil(keys * parts / 8);
  const owned = rowsPerLane(rows, Math.floor(most / width));
  return { WIDTH: width, PARTS: parts, ROWS: owned, KEYS: keys, THREADS: 8, LOADS: loads, TILE: 8, SHARED: false };
}

/** Rows of each of 8 lanes: loading what streams by costs a workgroup about as much as the arithmetic of one row a lane. */
function rowsPerLane(rows: number, most: number): number {
  const cost = (owned: number) => Math.ceil(rows / (8 * owned)) * (1 + owned);
  let best = 1;
  for (let owned = 2; owned <= most; owned++) if (cost(owned) < cost(best)) best = owned;
  return best;
}

/** Collects the bindings of a dispatch and their declarations. */
export class AttentionBindings {
  readonly refs: (BufferRef | Uniform)[] = [];
  code: string;
  readonly #element: string;

  /** @param width Columns of a head: its rows are read as vec4 where it is a multiple of 4. */
  constructor(readonly width: number, uniform: Uniform) {
    this.#element = width % 4 === 0 ? "vec4<f32>" : "f32";
    this.code = `${sizesStruct}@group(0) @binding(0) var<uniform> sizes: Sizes;\n`;
    this.refs.push(uniform);
  }

  /** Declares `name_part(at, part)` for an input of heads. */
  readHeads(name: string, ref: BufferRef): void {
    const x = this.#input(ref, this.#element);
    const element = (e: number) =>
      `select(0.0, ${x}[at + min(4u * part + ${e}u, WIDTH - 1u)], 4u * part + ${e}u < WIDTH)`;
    const value = this.width % 4 === 0 ? `${x}[at / 4u + part]` : `vec4<f32>(${[0, 1, 2, 3].map(element).join(", ")})`;
    this.code += `fn ${name}_part(at: u32, part: u32) -> vec4<f32> { return ${value}; }\n`;
  }

  /** Declares `name_at(i)` for an input of scalars. */
  readScalars(name: string, ref: BufferRef, type: string): void {
    const x = this.#input(ref, type);
    this.code += `fn ${name}_at(i: u32) -> ${type} { return ${x}[i]; }\n`;
  }

  /** Declares `put_name(at, part, value)` for a result of heads. */
  writeHeads(name: string, ref: BufferRef): void {
    this.write(name, ref, this.#element);
    const element = (e: number) =>
      `  if (4u * part + ${e}u < WIDTH) { ${name}[at + 4u * part + ${e}u] = value[${e}]; }\n`;
    const body = this.width % 4 === 0 ? `  ${name}[at / 4u + part] = value;\n` : [0, 1, 2, 3].map(element).join("");
    this.code += `fn put_${name}(at: u32, part: u32, value: vec4<f32>) {\n${body}}\n`;
  }

  /** Declares the array `name`. */
  write(name: string, ref: BufferRef, type: string): void {
    this.code += `@group(0) @binding(${this.refs.length}) var<storage, read_write> ${name}: array<${type}>;\n`;
    this.refs.push(ref);
  }

  /** The array of an input; inputs that are one tensor are one binding, for browsers refuse a range bound twice. */
  #input(ref: BufferRef, type: string): string {
    const known = this.refs.findIndex((r) => !("words" in r) && r.value === ref.value && r.offset === ref.offset);
    if (known >= 0) return `input${known}`;
    const name = `input${this.refs.length}`;
    this.write(name, ref, type);
    return name;
  }
}
