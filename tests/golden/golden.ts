/**
 * A folder of values from the official code: what is in it, and how ours are judged against it.
 */
import { isFloat, toFloat32, toInt32 } from "../../src/io/dtype.ts";
import { parseSafetensors } from "../../src/io/safetensors.ts";
import { tensor } from "../../src/program/compile.ts";
import type { HostArray, Tensor } from "../../src/program/graph.ts";
import { mapSpecs, type ParametersOf, type SpecTree } from "../../src/nn/spec.ts";

/** A tensor of a file. */
export interface Value {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** Numbers and lists that `index.json` holds for a file. */
// deno-lint-ignore no-explicit-any
export type Loose = any;

interface FileEntry {
  readonly title: string;
  readonly config?: Loose;
  readonly scalars: Readonly<Record<string, Loose>>;
}

type ReadFile = (path: string) => Promise<Uint8Array<ArrayBuffer>>;

/** The folder with its index. */
export class Golden {
  #cache = new Map<string, Promise<Map<string, Value>>>();
  private constructor(
    readonly dir: string,
    readonly index: { readonly files: Readonly<Record<string, FileEntry>> },
    readonly readFile: ReadFile,
  ) {}

  /** Opens a folder; `readFile` says how, where there is no Deno. */
  static async open(dir: string, readFile: ReadFile = (path) => Deno.readFile(path)): Promise<Golden> {
    return new Golden(dir, parseJson(await readFile(`${dir}/index.json`)), readFile);
  }

  /** The content of a JSON file. */
  async json(file: string): Promise<Loose> {
    return parseJson(await this.readFile(`${this.dir}/${file}`));
  }

  /** The tensors of a file; integers of any width as i32. */
  values(file: string): Promise<Map<string, Value>> {
    let values = this.#cache.get(file);
    if (!values) this.#cache.set(file, values = this.#read(`${this.dir}/${file}`));
    return values;
  }

  async #read(path: string): Promise<Map<string, Value>> {
    const tensors = parseSafetensors(await this.readFile(path), path);
    return new Map([...tensors].map(([name, t]): [string, Value] => [name, {
      shape: t.shape,
      data: isFloat(t.dtype) ? toFloat32(t) : toInt32(t),
    }]));
  }

  entry(file: string): FileEntry {
    return this.index.files[file]!;
  }

  /** The file of the same set with another name. */
  sibling(file: string, name: string): string {
    return file.includes("/") ? `${file.slice(0, file.lastIndexOf("/"))}/${name}.safetensors` : `${name}.safetensors`;
  }

  /** The config that holds for a file: its own or that of the weights beside it. */
  config(file: string): Loose {
    return this.entry(file).config ?? this.entry(this.sibling(file, "weights")).config;
  }

  /** A parameter tree from the weights beside a file, of that name; `nameOf` gives the names of parameters there. */
  async parameters<S extends SpecTree>(
    file: string,
    spec: S,
    nameOf = (path: string): string => path,
    name = "weights",
  ): Promise<ParametersOf<S>> {
    const weights = await this.values(this.sibling(file, name));
    return mapSpecs(spec, ({ shape }, path) => {
      const theirs = nameOf(path), value = weights.get(theirs);
      if (!value) throw new Error(`The weights beside ${file} have no "${theirs}"`);
      if (String(value.shape) !== String(shape)) {
        throw new Error(`"${theirs}" is [${value.shape}] and not [${shape}]`);
      }
      return tensor(value.data, shape);
    });
  }
}

function parseJson(bytes: Uint8Array): Loose {
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** A value of a file as a tensor; integers as `dtype`. */
export function toTensor(value: Value | undefined, dtype: "f32" | "i32" | "u32" = "f32"): Tensor {
  if (!value) throw new Error("The file lacks a tensor that this check needs");
  const data: HostArray = dtype === "f32"
    ? Float32Array.from(value.data)
    : dtype === "u32"
    ? Uint32Array.from(value.data)
    : Int32Array.from(value.data);
  return tensor(data, value.shape);
}

/** What the comparison of one file came to. */
export class Verdict {
  compared = 0;
  worst = 0;
  worstName = "-";
  readonly failures: string[] = [];
  /** What whoever reads the result should know. */
  readonly remarks: string[] = [];
  readonly #left: Set<string>;
  readonly #largestGradient: number;

  constructor(readonly file: string, readonly values: ReadonlyMap<string, Value>, readonly entry: FileEntry) {
    this.#left = new Set(values.keys());
    this.#largestGradient = Math.max(0, ...[...values].filter(([n]) => isGradient(n)).map(([, v]) => absmax(v.data)));
  }

  /** Names of the file's tensors that have not been compared. */
  get left(): readonly string[] {
    return [...this.#left];
  }

  /** Marks inputs that a result file repeats. */
  skip(...names: readonly string[]): void {
    for (const name of names) this.#left.delete(name);
  }

  /** Forward values: 2e-5 of the largest, 1e-6 absolute (`relative` replaces the 2e-5). */
  forward(name: string, ours: ArrayLike<number>, relative = 2e-5): void {
    const { data } = this.#value(name);
    this.#judge(name, ours, data, relative * absmax(data) + 1e-6);
  }

  /** Heat maps, which may be small: 1e-4 of the largest and nothing added. */
  heat(name: string, ours: ArrayLike<number>): void {
    const { data } = this.#value(name);
    this.#judge(name, ours, data, 1e-4 * absmax(data));
  }

  /** Gradients: 1e-4 of the largest of the tensor and 1e-6 of the largest of the file; key biases are judged by the file. */
  gradient(name: string, ours: ArrayLike<number>): void {
    const { data } = this.#value(name);
    const dust = /\.self\.key\.bias$|attn\.qkv\.bias$/.test(name);
    this.#judge(name, ours, data, 1e-4 * absmax(data) + (dust ? 1e-5 : 1e-6) * this.#largestGradient);
  }

  /** Parameters after a first AdamW step: 2e-6 where the gradient is more than dust, else what a wrong sign gives. */
  after(name: string, ours: ArrayLike<number>, gradient: ArrayLike<number> | undefined): void {
    const { data } = this.#value(name);
    let worst = 0;
    for (let i = 0; i < data.length; i++) {
      const tolerance = gradient && Math.abs(gradient[i]!) > 1e-5 ? 2e-6 : 2.1e-4;
      worst = Math.max(worst, difference(ours[i]!, data[i]!) / tolerance);
    }
    this.#record(name, ours.length === data.length ? worst : Infinity);
  }

  /** Integers that must be equal. */
  exact(name: string, ours: ArrayLike<number>): void {
    const { data } = this.#value(name);
    this.#record(name, ours.length === data.length && data.every((x, i) => x === ours[i]) ? 0 : Infinity);
  }

  /** A scalar of the index, as a forward value or with a relative tolerance. */
  scalar(name: string, ours: number, relative = 2e-5): void {
    const stated = this.entry.scalars[name];
    const reference: number = typeof stated === "object" ? stated.value : stated;
    this.#record(`scalar ${name}`, difference(ours, reference) / (relative * Math.abs(reference) + 1e-6));
  }

  /** A condition of the file's own kind. */
  holds(name: string, condition: boolean): void {
    this.skip(name);
    this.#record(name, condition ? 0 : Infinity);
  }

  /** Numbers against given ones. */
  close(name: string, ours: ArrayLike<number>, reference: ArrayLike<number>, tolerance: number): void {
    this.#judge(name, ours, reference, tolerance);
  }

  #value(name: string): Value {
    const value = this.values.get(name);
    if (!value) throw new Error(`${this.file} has no "${name}"`);
    this.#left.delete(name);
    return value;
  }

  #judge(name: string, ours: ArrayLike<number>, reference: ArrayLike<number>, tolerance: number): void {
    let worst = ours.length === reference.length ? 0 : Infinity;
    for (let i = 0; i < reference.length; i++) worst = Math.max(worst, difference(ours[i]!, reference[i]!) / tolerance);
    this.#record(name, worst);
  }

  #record(name: string, ratio: number): void {
    this.compared++;
    if (!(ratio <= 1)) this.failures.push(`${name}: ${ratio.toPrecision(3)} times the tolerance`);
    if (ratio >= this.worst) this.worst = ratio, this.worstName = name;
  }
}

function isGradient(name: string): boolean {
  return /(^|[._/])grad(_\w+)?\.|_grad$/.test(name);
}

function absmax(data: ArrayLike<number>): number {
  let m = 0;
  for (let i = 0; i < data.length; i++) m = Math.max(m, Math.abs(data[i]!));
  return m;
}

/** |a - b|, infinite where either is not a number. */
function difference(a: number, b: number): number {
  const d = Math.abs(a - b);
  return Number.isNaN(d) ? Infinity : d;
}
