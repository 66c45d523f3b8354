/** Models built by hand, as tests of ONNX's form. */
import type { TestFiles } from "./archive.ts";
import { type Outcome, runTest } from "./judge.ts";
import { decodeSmallFloat, isSmallFloat } from "./float8.ts";
import { encodeModel, encodeTensor } from "./schema.ts";
import { ELEMENT_TYPES, type ElementType, sizeOf } from "./types.ts";

/** A value of a test; float unless said otherwise. */
export interface Given {
  readonly shape: readonly number[];
  readonly data: readonly number[];
  readonly type?: ElementType;
}

/** The value of an attribute. */
export type Attribute =
  | { readonly i: number }
  | { readonly f: number }
  | { readonly s: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly t: Given }
  | { readonly g: GraphOf }
  | { readonly ref: string };

/** A node: its operator, names of inputs and results, attributes. */
export type NodeOf = readonly [string, readonly string[], readonly string[], Readonly<Record<string, Attribute>>?];

/** A graph inside of an attribute. */
export interface GraphOf {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly NodeOf[];
}

/** A function of the model's own. */
export interface FunctionOf extends GraphOf {
  readonly name: string;
  readonly domain: string;
}

/** A model with what goes in, named a, b, c..., and what is expected, named y0, y1.... */
export interface Case {
  readonly nodes: readonly NodeOf[];
  readonly inputs: readonly (Given | undefined)[];
  readonly outputs: readonly Given[];
  readonly opset?: number;
  readonly functions?: readonly FunctionOf[];
}

const idOf = (type: ElementType = "float"): number => ELEMENT_TYPES.indexOf(type);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const nameOf = (i: number): string => String.fromCharCode(97 + i);

/** The code of a number among floats of 8 bits. */
function codeOf(type: ElementType, x: number): number {
  return Array.from({ length: 256 }, (_, code) => code).find((code) => Object.is(decodeSmallFloat(type, code), x))!;
}

/** A tensor as a message. Halves are written as their bits, integers of 4 bits two in a byte. */
function tensorOf({ shape, data, type = "float" }: Given): Record<string, unknown> {
  const message = { dims: shape, dataType: idOf(type) };
  if (type === "float") return { ...message, floatData: data };
  if (type === "double") return { ...message, doubleData: data };
  if (type === "int64") return { ...message, int64Data: data };
  if (type === "uint64" || type === "uint32") return { ...message, uint64Data: data };
  if (type === "string") return { ...message, stringData: data.map((x) => bytes(String(x))) };
  if (type === "float16") return { ...message, int32Data: [...new Uint16Array(Float16Array.from(data).buffer)] };
  if (isSmallFloat(type)) return { ...message, int32Data: data.map((x) => codeOf(type, x)) };
  if (!type.endsWith("int4")) return { ...message, int32Data: data };
  const pairs = data.filter((_, i) => i % 2 === 0);
  return { ...message, int32Data: pairs.map((low, i) => (low & 15) | (((data[2 * i + 1] ?? 0) & 15) << 4)) };
}

function attributeOf([name, value]: [string, Attribute]): Record<string, unknown> {
  if ("s" in value) return { name, s: bytes(value.s) };
  if ("t" in value) return { name, t: tensorOf(value.t) };
  if ("g" in value) return { name, g: graphOf(value.g) };
  return "ref" in value ? { name, refAttrName: value.ref } : { name, ...value };
}

function nodeOf([op, input, output, attributes = {}]: NodeOf): Record<string, unknown> {
  const at = op.lastIndexOf(".");
  return {
    opType: op.slice(at + 1),
    ...(at < 0 ? {} : { domain: op.slice(0, at) }),
    input,
    output,
    attribute: Object.entries(attributes).map(attributeOf),
  };
}

function graphOf({ inputs, outputs, nodes }: GraphOf): Record<string, unknown> {
  const named = (names: readonly string[]): unknown[] => names.map((name) => ({ name }));
  return { node: nodes.map(nodeOf), input: named(inputs), output: named(outputs) };
}

/** The files of a case. */
export function filesOf(name: string, { nodes, inputs, outputs, opset = 23, functions = [] }: Case): TestFiles {
  const infos = (values: readonly Given[], names: (i: number) => string): unknown[] =>
    values.map(({ type }, i) => ({ name: names(i), type: { tensorType: { elemType: idOf(type) } } }));
  const given = inputs.filter((v) => v !== undefined), result = (i: number): string => `y${i}`;
  const model = encodeModel({
    irVersion: 10,
    opsetImport: [{ version: opset }],
    graph: { node: nodes.map(nodeOf), input: infos(given, nameOf), output: infos(outputs, result) },
    functions: functions.map((f) => ({
      name: f.name,
      domain: f.domain,
      input: f.inputs,
      output: f.outputs,
      node: f.nodes.map(nodeOf),
    })),
  });
  return {
    name,
    model,
    sets: [{
      inputs: given.map((v) => encodeTensor(tensorOf(v))),
      outputs: outputs.map((v) => encodeTensor(tensorOf(v))),
    }],
  };
}

/** A node of one operator on all inputs, of which some may be left out. */
export function nodeOn(
  op: string,
  inputs: readonly (Given | undefined)[],
  outputs: number,
  attributes: Readonly<Record<string, Attribute>> = {},
): NodeOf {
  let next = 0;
  return [
    op,
    inputs.map((v) => v ? nameOf(next++) : ""),
    Array.from({ length: outputs }, (_, i) => `y${i}`),
    attributes,
  ];
}

/** What comes of a case. */
export async function outcomeOf(name: string, one: Case): Promise<Outcome> {
  return (await runTest(filesOf(name, one)))!;
}

/** What comes of one operator. */
export function outcomeOfOperator(
  op: string,
  inputs: readonly (Given | undefined)[],
  outputs: readonly Given[],
  attributes: Readonly<Record<string, Attribute>> = {},
  opset = 23,
): Promise<Outcome> {
  return outcomeOf(op, { nodes: [nodeOn(op, inputs, outputs.length, attributes)], inputs, outputs, opset });
}

/** Floats, deterministic and without a pattern, from -1 to 1. */
export function floats(...shape: number[]): Given {
  return {
    shape,
    data: Array.from({ length: sizeOf(shape) }, (_, i) => Math.fround(Math.sin(12.9898 * (i + 1)) * 43758.5453 % 1)),
  };
}

/** int64 of one axis. */
export function longs(...data: number[]): Given {
  return { shape: [data.length], data, type: "int64" };
}
