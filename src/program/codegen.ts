/**
 * WGSL for element-wise ops: the body of a kernel of their own, or the epilogue of another kernel.
 *
 * @module
 */
import activationsSource from "../../kernels/activations.wgsl" with { type: "text" };
import divisionSource from "../../kernels/division.wgsl" with { type: "text" };
import elementwiseSource from "../../kernels/elementwise.wgsl" with { type: "text" };
import hyperbolicSource from "../../kernels/hyperbolic.wgsl" with { type: "text" };
import mathSource from "../../kernels/math.wgsl" with { type: "text" };
import randomSource from "../../kernels/random.wgsl" with { type: "text" };
import trigonometrySource from "../../kernels/trigonometry.wgsl" with { type: "text" };
import { kernel } from "../gpu/kernel.ts";
import { division } from "./expression.ts";
import { canInline, expressionOf, resolve, valueKey } from "./fuse.ts";
import { type DType, type Node, sizeOf, Tensor } from "./graph.ts";
import type { Bindings, BufferRef, Dispatch, Emit } from "./lowering.ts";

/** What the generated code needs to know of the planner. */
export interface Placement {
  /** The memory of a tensor (views included) that some other kernel has written. */
  load(t: Tensor): BufferRef;
  /** The memory of a result, or undefined if nobody outside the group needs it. */
  store(t: Tensor): BufferRef | undefined;
}

type Width = 1 | 4;
const scalarType: Record<DType, string> = { f32: "f32", i32: "i32", u32: "u32", f16: "f16" };
const vectorName: Record<DType, string> = { f32: "V", i32: "I", u32: "U", f16: "V" };
const WORKGROUP = 64;
/** Functions that expressions may call, and what finds a call. Those of a file may call those of the files before it. */
const LIBRARY = [
  elementwiseSource,
  divisionSource,
  mathSource,
  trigonometrySource,
  hyperbolicSource,
  activationsSource,
].map((source) => ({
  source,
  call: new RegExp(`\\b(${[...source.matchAll(/^fn (\w+)/gm)].map(([, name]) => name).join("|")})\\(`),
}));

/** The epilogue of a kernel whose result 0 is `root`: `fn emit(i, v)` with the bindings it needs. */
export function emitter(root: Tensor, members: readonly Node[], place: Placement, width: Width): Emit {
  const writer = new Writer(place, width);
  writer.define(root, "v");
  return writer.emit(root, members);
}

/** The widest vectors in which `members` (all of the same size) can be computed. */
export function widthOf(root: Tensor | null, members: readonly Node[]): Width {
  const tensors = [...(root ? [root] : []), ...members.map((n) => new Tensor(n))];
  const flat = !root && members.every((n) => readsWhole(n, new Set(members)));
  const fits = tensors.every((t) => t.size % 4 === 0 && (flat || (t.shape.at(-1) ?? 1) % 4 === 0) && t.dtype !== "f16");
  return fits ? 4 : 1;
}

/** Whether an op reads all values element by element or is given one number, so that its axes do not matter. */
function readsWhole(node: Node, own: ReadonlySet<Node>): boolean {
  return !node.op.recompute && !expressionOf(node).arrays && node.inputs.every((t) => {
    const { base } = resolve(t);
    return own.has(base.node) || t.size === 1 || (!base.node.inline && isWhole(t, new Tensor(node).shape));
  });
}

/** The kernel that computes `members`, all of the same size. */
export function elementwiseKernel(members: readonly Node[], place: Placement): Dispatch {
  const last = new Tensor(members[members.length - 1]!), width = widthOf(null, members);
  const writer = new Writer(place, width);
  const threads = last.size / width;
  const count = writer.uniform(threads);
  const { code, bindings } = writer.emit(null, members);
  const main = `
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let t = linear_workgroup(id, count) * ${WORKGROUP}u + lane;
  if (t >= ${count}) { return; }
  emit(t${width === 4 ? " * 4u" : ""});
}
`;
  return {
    ...kernel(members.map((n) => n.op.name).join("+"), code + main).bind(bindings),
    workgroups: Math.ceil(threads / WORKGROUP),
    flop: last.size * members.length,
  };
}

/** Builds the text of one `emit` function. */
class Writer {
  readonly #declarations: string[] = [];
  readonly #buffers: Record<string, BufferRef> = {};
  readonly #names = new Map<string, string>();
  readonly #values = new Map<number, string>();
  readonly #body: string[] = [];
  readonly #words: number[] = [];
  #temporaries = 0;

  constructor(readonly place: Placement, readonly width: Width) {}

  /** Names a value that the kernel already has. */
  define(t: Tensor, name: string): void {
    this.#values.set(valueKey(t), name);
  }

  /** A u32 that is written into the uniform buffer; returns its WGSL. */
  uniform(word: number): string {
    const at = this.#words.push(word >>> 0) - 1;
    return `eu[${at >> 2}].${"xyzw"[at & 3]}`;
  }

  emit(root: Tensor | null, members: readonly Node[]): Emit {
    for (const node of members) this.#compute(new Tensor(node));
    const stores: string[] = [];
    for (const t of [...(root ? [root] : []), ...members.map((n) => new Tensor(n))]) {
      const target = this.place.store(t);
      if (target) stores.push(this.#store(target, t));
    }
    if (!this.#words.length) this.#words.push(0);
    const body = [...this.#body, ...stores].map((l) => `  ${l}`).join("\n");
    const parameters = root ? "i: u32, v: V" : "i: u32";
    return {
      code: `${this.#aliases()}${this.#declarations.join("")}` +
        declare("uniform", "eu", `array<vec4<u32>, ${Math.ceil(this.#words.length / 4)}>`) +
        `${this.#library(body)}fn emit(${parameters}) {\n${body}\n}\n`,
      bindings: { ...this.#buffers, eu: this.#words } satisfies Bindings,
    };
  }

  #aliases(): string {
    const wrap = (type: string): string => this.width === 4 ? `vec4<${type}>` : type;
    return `alias V = ${wrap("f32")};\nalias I = ${wrap("i32")};\nalias U = ${wrap("u32")};\n`;
  }

  #library(body: string): string {
    const parts: string[] = [];
    for (const { source, call } of LIBRARY.toReversed()) {
      if ([body, ...parts].some((text) => call.test(text))) parts.unshift(source);
    }
    if (/\brandom_\w+\(/.test(body)) parts.push(randomSource, this.width === 4 ? RANDOM_VECTOR : RANDOM_SCALAR);
    if (/\bindex_along\(/.test(body)) parts.push(this.width === 4 ? INDEX_VECTOR : INDEX_SCALAR);
    return parts.join("\n");
  }

  /** The WGSL name of a tensor's element(s) at index `i` of a kernel in which `shape` is the shape of the consumer. */
  #value(t: Tensor, consumer: Node, shape: readonly number[]): string {
    const known = isWhole(t, shape) ? this.#values.get(valueKey(resolve(t).base)) : undefined;
    if (known) return known;
    return canInline(t, consumer) ? this.#compute(resolve(t).base) : this.#load(t, shape);
  }

  #compute(t: Tensor): string {
    const done = this.#values.get(valueKey(t));
    if (done) return done;
    const { text, uniforms = [], arrays = [], fours = false } = expressionOf(t.node);
    const wgsl = text
      .replace(/\$(\d+)\{(.*?)\}/g, (_, k, place) => this.#elements(t.node.inputs[Number(k)]!, place, fours))
      .replace(/\$(\d+)/g, (_, k) => {
        const input = t.node.inputs[Number(k)]!;
        return arrays.includes(Number(k)) ? this.#array(input) : this.#value(input, t.node, t.shape);
      })
      .replace(/#(\d+)/g, (_, k) => this.uniform(uniforms[Number(k)]!))
      .replaceAll("@", "i");
    const name = `t${this.#temporaries++}`;
    this.#body.push(`let ${name}: ${vectorName[t.dtype]} = ${wgsl};`);
    this.#values.set(valueKey(t), name);
    return name;
  }

  #bind(ref: BufferRef, type: string): string {
    const key = `${ref.value}:${ref.offset}:${ref.bytes}:${type}`;
    let name = this.#names.get(key);
    if (!name) {
      name = `b${this.#names.size}`;
      this.#declarations.push(declare("storage, read_write", name, `array<${type}>`));
      this.#buffers[name] = ref;
      this.#names.set(key, name);
    }
    return name;
  }

  /** The elements of an array at `place`, whose `@` is the index of each. */
  #elements(t: Tensor, place: string, fours: boolean): string {
    const ref = this.place.load(t), type = scalarType[t.dtype];
    if (this.width === 4 && fours) return `${this.#bind(ref, `vec4<${type}>`)}[(${place}) / 4u]`;
    const array = this.#bind(ref, type), lanes = this.width === 4 ? ["i", "(i + 1u)", "(i + 2u)", "(i + 3u)"] : ["i"];
    return `${vectorName[t.dtype]}(${lanes.map((i) => `${array}[${place.replaceAll("@", i)}]`).join(", ")})`;
  }

  #array(t: Tensor): string {
    return this.#bind(this.place.load(t), scalarType[t.dtype]);
  }

  #load(t: Tensor, shape: readonly number[]): string {
    const ref = this.place.load(t), type = scalarType[t.dtype], runs = broadcastRuns(t.shape, shape);
    const name = `t${this.#temporaries++}`, kept = runs.at(-1)?.kept ?? false;
    const index = this.#index(runs);
    const wide = this.width === 4 && kept;
    let element = wide ? `${this.#bind(ref, `vec4<${type}>`)}[(${index}) / 4u]` : `${this.#bind(ref, type)}[${index}]`;
    if (t.dtype === "f16" && !wide) element = `f32(${element})`; // a splat does not convert
    this.#body.push(`let ${name}: ${vectorName[t.dtype]} = ${vectorName[t.dtype]}(${element});`);
    if (isWhole(t, shape)) this.#values.set(valueKey(resolve(t).base), name);
    return name;
  }

  /** The element of a broadcast input that belongs to element `i` of the kernel. */
  #index(runs: readonly Run[]): string {
    if (runs.every((r) => r.kept)) return "i";
    const terms: string[] = [];
    let inner = 1, stride = 1;
    const { div, mod } = division(runs.reduce((n, r) => n * r.size, 1));
    for (const [back, { size, kept }] of [...runs].reverse().entries()) {
      if (kept) {
        const shifted = inner === 1 ? "i" : div("i", this.uniform(inner));
        const position = back === runs.length - 1 ? shifted : mod(shifted, this.uniform(size));
        terms.push(stride === 1 ? position : `${position} * ${this.uniform(stride)}`);
        stride *= size;
      }
      inner *= size;
    }
    return terms.join(" + ") || "0u";
  }

  #store(ref: BufferRef, t: Tensor): string {
    const type = scalarType[t.dtype];
    const value = this.#values.get(valueKey(t))!;
    if (this.width === 1) return `${this.#bind(ref, type)}[i] = ${type}(${value});`;
    return `${this.#bind(ref, `vec4<${type}>`)}[i / 4u] = vec4<${type}>(${value});`;
  }
}

/** The declaration of a binding, which `kernel` numbers. */
function declare(space: string, name: string, type: string): string {
  return `@group(0) @binding(0) var<${space}> ${name}: ${type};\n`;
}

/** Whether a tensor is the whole of a stored value and not broadcast in a kernel over `shape`. */
function isWhole(t: Tensor, shape: readonly number[]): boolean {
  const { base, offset } = resolve(t);
  return offset === 0 && base.size === t.size && t.size === sizeOf(shape);
}

interface Run {
  readonly size: number;
  /** Whether the input varies along these axes. */
  readonly kept: boolean;
}

/** Axes of `shape` merged into runs along which an input of shape `from` varies or is broadcast. */
export function broadcastRuns(from: readonly number[], shape: readonly number[]): Run[] {
  const runs: { size: number; kept: boolean }[] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const kept = (from[axis - shape.length + from.length] ?? 1) !== 1;
    const last = runs.at(-1);
    if (last && last.kept === kept) last.size *= size;
    else runs.push({ size, kept });
  });
  return runs;
}

/** 2^-24: a random number in [0, 1) has 24 bits, as many as an f32 keeps. */
const RANDOM_UNIT = "5.9604644775390625e-8";
const RANDOM_VECTOR = `fn random_bits(i: u32, stream: u32, key: vec2<u32>) -> vec4<u32> {
  return philox4x32(vec4<u32>(i / 4u, stream, 0u, 0u), key);
}
fn random_uniform(i: u32, stream: u32, key: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(random_bits(i, stream, key) >> vec4<u32>(8u)) * ${RANDOM_UNIT};
}
fn random_below(i: u32, stream: u32, range: u32, key: vec2<u32>) -> vec4<u32> {
  let a = philox4x32(vec4<u32>(i / 2u, stream, 1u, 0u), key);
  let b = philox4x32(vec4<u32>(i / 2u + 1u, stream, 1u, 0u), key);
  return vec4<u32>(
    scale_words(a.x, a.y, range),
    scale_words(a.z, a.w, range),
    scale_words(b.x, b.y, range),
    scale_words(b.z, b.w, range),
  );
}
`;
const RANDOM_SCALAR = `fn random_bits(i: u32, stream: u32, key: vec2<u32>) -> u32 {
  let words = philox4x32(vec4<u32>(i / 4u, stream, 0u, 0u), key);
  return words[i % 4u];
}
fn random_uniform(i: u32, stream: u32, key: vec2<u32>) -> f32 {
  return f32(random_bits(i, stream, key) >> 8u) * ${RANDOM_UNIT};
}
fn random_below(i: u32, stream: u32, range: u32, key: vec2<u32>) -> u32 {
  let words = philox4x32(vec4<u32>(i / 2u, stream, 1u, 0u), key);
  let at = 2u * (i % 2u);
  return scale_words(words[at], words[at + 1u], range);
}
fn random_key(i: u32, stream: u32, data: u32, key: vec2<u32>) -> u32 {
  let words = philox4x32(vec4<u32>(data, stream, 2u, 0u), key);
  return words[i % 2u];
}
`;
const INDEX_VECTOR = `fn index_along(i: u32, inner: u32, length: u32) -> vec4<u32> {
  return ((vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u)) / vec4<u32>(inner)) % vec4<u32>(length);
}
`;
const INDEX_SCALAR = `fn index_along(i: u32, inner: u32, length: u32) -> u32 {
  return (i / inner) % length;
}
`;
