/**
 * Kernels bound by name: a kernel's text says which buffers and uniforms it has, and `bind` puts what is given in their order.
 *
 *     kernel("scale", source).bind({ x, y, u: { count, factor } })
 *
 * Bindings are declared on lines of their own, `@group(0) @binding(N) var<...> NAME: TYPE;`, in files of kernels/ and in the
 * texts of hooks. They are numbered anew in the order of the text, for a condition may leave some out and a hook add others.
 *
 * @module
 */
import prelude from "../../kernels/prelude.wgsl" with { type: "text" };
import type { DType } from "./dtype.ts";
import { packUniform, type Uniform, type UniformLayout, uniformLayout, type UniformValues } from "./uniform.ts";
import { type Specialization, specialize } from "./wgsl.ts";

/** A range of GPU memory that the planner places: an input, a result, or scratch space. Byte units. */
export interface BufferRef {
  /** Number of the value in its plan. */
  readonly value: number;
  /** Bytes from the start of the value. */
  readonly offset: number;
  /** Length of the range. */
  readonly bytes: number;
  /** Element type. */
  readonly dtype: DType;
}

/** What is bound to a kernel, by name. What is undefined counts as not given. */
export type Bindings = Readonly<Record<string, BufferRef | UniformValues | undefined>>;

/** A kernel with all that it reads and writes. */
export interface BoundKernel {
  /** The kernel's name, in errors, profiles and printed programs. */
  readonly name: string;
  /**
   * Complete WGSL with the entry point `main`. Bindings 0, 1, ... of group 0 are `bindings` in order; storage buffers are
   * declared `var<storage, read_write>`, for a dispatch may read and write parts of one buffer.
   */
  readonly code: string;
  /** Buffers and uniforms in the order of the bindings. */
  readonly bindings: readonly (BufferRef | Uniform)[];
}

/** How the text of a {@linkcode kernel} is completed. */
export interface KernelOptions extends Specialization {
  /** WGSL that the kernel calls, put between the prelude and the kernel. */
  readonly library?: string;
}

/** A complete kernel that waits for its buffers. */
export interface Kernel {
  /** Complete WGSL. */
  readonly code: string;
  /**
   * The kernel with its buffers and the values of its uniforms.
   *
   * @throws {TypeError} if a name is missing or unknown, or if what it stands for is of the wrong kind.
   */
  bind(given: Bindings): BoundKernel;
}

/** One binding that a kernel declares; a uniform has a layout. */
interface Declaration {
  readonly name: string;
  readonly layout: UniformLayout | undefined;
}

interface Text {
  readonly code: string;
  readonly declarations: readonly Declaration[];
}

/** Completes a kernel of kernels/ (or a generated one) by the prelude, its constants and its hooks. */
export function kernel(name: string, source: string, options: KernelOptions = {}): Kernel {
  const { code, declarations } = textOf(name, source, options);
  return { code, bind: (given) => ({ name, code, bindings: bindingsOf(name, declarations, given) }) };
}

/** Texts by source and then by what completes them: a program of hundreds of dispatches has few of them. */
const texts = new Map<string, Map<string, Text>>();

function textOf(name: string, source: string, { library = "", ...values }: KernelOptions): Text {
  const constants = JSON.stringify([values.consts, values.lists]);
  const key = [constants, library, ...Object.entries(values.hooks ?? {}).flat()].join("\0");
  const variants = texts.get(source) ?? new Map<string, Text>();
  const known = variants.get(key) ?? complete(name, specialize(prelude + library + source, values));
  texts.set(source, variants.set(key, known));
  return known;
}

const declared = /@group\(0\) @binding\(\d+\) var<(storage|uniform)[^>]*> (\w+): ([^;]+);/g;

function complete(name: string, text: string): Text {
  const plain = text.replace(/\/\/.*/g, "");
  const structs = new Map([...plain.matchAll(/struct (\w+) \{([^}]*)\}/g)].map(([, type, body]) => [type!, body!]));
  const declarations = [...plain.matchAll(declared)].map(([, space, binding, type]) => ({
    name: binding!,
    layout: space === "uniform" ? layoutOf(name, binding!, type!, structs) : undefined,
  }));
  let next = 0;
  const code = text.replace(/@group\(0\) @binding\(\d+\)/g, () => `@group(0) @binding(${next++})`);
  if (next !== declarations.length) {
    throw new Error(
      `Cannot read the bindings of the kernel "${name}": each must be "@group(0) @binding(N) var<...> NAME: TYPE;": ` +
        `${declarations.length} of ${next} are`,
    );
  }
  return { code: (/\bf16\b/.test(plain) ? "enable f16;\n" : "") + code, declarations };
}

function layoutOf(name: string, binding: string, type: string, structs: ReadonlyMap<string, string>): UniformLayout {
  try {
    return uniformLayout(type, structs.get(type));
  } catch (error) {
    throw new Error(`Cannot lay out the uniform "${binding}" of the kernel "${name}": ${(error as Error).message}`);
  }
}

function bindingsOf(name: string, declarations: readonly Declaration[], given: Bindings): (BufferRef | Uniform)[] {
  const refuse = (sentence: string): never => {
    throw new TypeError(`Cannot bind the kernel "${name}": ${sentence}`);
  };
  const names = Object.keys(given).filter((n) => given[n] !== undefined);
  compareNames("its names", declarations.map((d) => d.name), names, refuse);
  return declarations.map(({ name, layout }) => {
    const value = given[name]!;
    if (layout) return isBuffer(value) ? refuse(mustBe(name, layout, value)) : uniform(name, layout, value, refuse);
    return isBuffer(value) ? value : refuse(mustBe(name, layout, value));
  });
}

function isBuffer(value: BufferRef | UniformValues): value is BufferRef {
  return "dtype" in value && typeof value.dtype === "string";
}

function mustBe(name: string, layout: UniformLayout | undefined, value: BufferRef | UniformValues): string {
  const required = layout ? `a uniform (${layout.fields.map((f) => f.name).join(", ") || "words"})` : "a buffer";
  return `"${name}" must be ${required}: it is ${isBuffer(value) ? "a buffer" : JSON.stringify(value)}`;
}

function uniform(name: string, layout: UniformLayout, values: UniformValues, refuse: (s: string) => never): Uniform {
  const isWords = Array.isArray(values), takesWords = layout.fields[0]?.name === "";
  if (isWords !== takesWords) refuse(mustBe(name, layout, values));
  if (!isWords) compareNames(`the fields of "${name}"`, layout.fields.map((f) => f.name), Object.keys(values), refuse);
  return packUniform(layout, values, (sentence) => refuse(`in "${name}", ${sentence}`));
}

/** Refuses `given` names unless they are the `required` ones, in any order. */
function compareNames(
  what: string,
  required: readonly string[],
  given: readonly string[],
  refuse: (sentence: string) => never,
): void {
  const missing = required.filter((n) => !given.includes(n)), unknown = given.filter((n) => !required.includes(n));
  const faults = [...missing.map((n) => `"${n}" is missing`), ...unknown.map((n) => `"${n}" is unknown`)];
  if (faults.length) {
    refuse(`${what} must be ${required.join(", ")}: they are ${given.join(", ") || "none"} (${faults.join(", ")})`);
  }
}
