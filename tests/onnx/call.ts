/** What an operator is given: inputs, attributes, and the graph around it. */
import type { AttributeMessage, GraphMessage } from "./schema.ts";
import { valueOf } from "./decode.ts";
import type { ElementType } from "./types.ts";
import type { Value } from "./value.ts";
import type { Tensor } from "../../mod.ts";

/** Results by position; those that nobody asks for may be left out. */
export type Results = Value | readonly (Value | undefined)[];

/** An operator on our ops. */
export type Operator = (call: Call) => Results | Promise<Results>;

/** Operators by name, with the domain in front unless it is ONNX's own. */
export type Operators = Readonly<Record<string, Operator>>;

/** Runs a graph inside of an attribute on inputs, with the names of the graphs around it. */
export type RunGraph = (graph: GraphMessage, inputs: readonly Value[]) => Promise<Value[]>;

/** One application of an operator. */
export class Call {
  readonly #attributes: ReadonlyMap<string, AttributeMessage>;

  constructor(
    readonly name: string,
    readonly inputs: readonly (Value | undefined)[],
    attributes: readonly AttributeMessage[],
    /** The version of the operator set. */
    readonly opset: number,
    /** Which results are asked for, by position. */
    readonly asked: readonly boolean[],
    readonly run: RunGraph,
  ) {
    this.#attributes = new Map(attributes.map((a) => [a.name, a]));
  }

  /** A required input. */
  value(i: number): Value {
    const value = this.inputs[i];
    if (!value) throw new Error(`Cannot run ${this.name}: it must have an input ${i}: it has none`);
    return value;
  }

  /** The tensor of a required input. */
  x(i: number): Tensor {
    return this.value(i).tensor;
  }

  /** The tensor of an input that may be left out. */
  maybe(i: number): Tensor | undefined {
    return this.inputs[i]?.tensor;
  }

  /** The type of the first input. */
  get type(): ElementType {
    return this.value(0).type;
  }

  /** Whether an attribute is given. */
  has(name: string): boolean {
    return this.#attributes.has(name);
  }

  /** An integer attribute. */
  int(name: string, otherwise: number): number {
    const a = this.#attributes.get(name);
    return a ? a.i ?? 0 : otherwise;
  }

  /** A boolean attribute, in files 0 or 1. */
  flag(name: string, otherwise = false): boolean {
    return this.int(name, Number(otherwise)) !== 0;
  }

  /** A float attribute. */
  float(name: string, otherwise: number): number {
    const a = this.#attributes.get(name);
    return a ? a.f ?? 0 : otherwise;
  }

  /** A string attribute. */
  string(name: string, otherwise: string): string {
    const a = this.#attributes.get(name);
    return a ? new TextDecoder().decode(a.s) : otherwise;
  }

  /** A list of strings. */
  strings(name: string): string[] | undefined {
    return this.#attributes.get(name)?.strings.map((s) => new TextDecoder().decode(s));
  }

  /** A list of integers. */
  ints(name: string): readonly number[] | undefined {
    return this.#attributes.get(name)?.ints;
  }

  /** A list of floats. */
  floats(name: string): readonly number[] | undefined {
    return this.#attributes.get(name)?.floats;
  }

  /** A tensor attribute. */
  tensor(name: string): Value | undefined {
    const t = this.#attributes.get(name)?.t;
    return t && valueOf(t);
  }

  /** A graph attribute. */
  graph(name: string): GraphMessage | undefined {
    return this.#attributes.get(name)?.g;
  }

  /** The numbers of an input on the host, undefined if it is left out. */
  async numbers(i: number): Promise<number[] | undefined> {
    const value = this.inputs[i];
    return value && Array.from(await value.numbers());
  }

  /** What is an attribute in old versions and an input in new ones: a list of integers. */
  async list(name: string, input: number): Promise<readonly number[] | undefined> {
    return this.ints(name) ?? await this.numbers(input);
  }
}

/** Axes from 0 on: negative ones count from the end. */
export function axisOf(axis: number, rank: number): number {
  if (axis < -rank || axis >= Math.max(rank, 1)) {
    throw new RangeError(`Cannot use axis ${axis}: it must be from ${-rank} to ${rank - 1}`);
  }
  return axis < 0 ? axis + rank : axis;
}
