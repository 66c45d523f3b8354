/**
 * The header of a safetensors file: 8 bytes of length, then JSON that says where each tensor lies. Everything in it is
 * checked before a byte of data is read (https://github.com/huggingface/safetensors, "Format").
 *
 * @module
 */

import type { TensorInfo } from "./archive.ts";
import { byteLength, DTYPES, elementCount, isDtype } from "./dtype.ts";

/** The longest header that is read, in bytes; the reference implementation has the same limit. */
export const MAX_HEADER_BYTES = 100_000_000;

/** A tensor and the bytes of the file that hold it. */
export interface SafetensorsEntry extends TensorInfo {
  /** First byte, counted from the start of the file. */
  readonly begin: number;
  /** The byte after the last. */
  readonly end: number;
}

/** All that a header says. */
export interface SafetensorsHeader {
  /** Texts beside the tensors. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Tensors by name, in the order of their data. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
}

function fail(path: string, what: string): never {
  throw new SyntaxError(`Cannot read "${path}" as safetensors: ${what}`);
}

/**
 * The length of the header from the first 8 bytes.
 *
 * @param start The first 8 bytes, or all that the file has.
 * @param size Bytes of the whole file.
 * @throws {SyntaxError} When the file is shorter than its header says, or the length is beyond `MAX_HEADER_BYTES`.
 */
export function headerLength(start: Uint8Array, size: number, path: string): number {
  if (start.length < 8) fail(path, `it has ${size} bytes, the length of the header alone takes 8`);
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) fail(path, `its header claims ${length} bytes, at most ${MAX_HEADER_BYTES} are read`);
  if (Number(length) > size - 8) fail(path, `its header claims ${length} bytes, but only ${size - 8} follow`);
  return Number(length);
}

/** Refuses JSON that says something twice: `JSON.parse` would silently take the last. */
function refuseDuplicates(text: string, path: string): void {
  const keys: Set<string>[] = [];
  for (const [token, colon] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"\s*(:?)|[{}]/g) as Iterable<string[]>) {
    if (token === "{") keys.push(new Set());
    else if (token === "}") keys.pop();
    else if (colon) {
      const key = JSON.parse(token!.slice(0, token!.lastIndexOf('"') + 1));
      if (keys.at(-1)!.has(key)) fail(path, `its header has the key "${key}" twice`);
      keys.at(-1)!.add(key);
    }
  }
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(bytes: Uint8Array, path: string): JsonObject {
  if (bytes[0] !== 0x7B) fail(path, "its header does not start with {");
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    if (!isObject(value)) fail(path, "its header is not a JSON object");
    refuseDuplicates(text, path);
    return value;
  } catch (error) {
    if (error instanceof SyntaxError && error.message.startsWith("Cannot read")) throw error;
    return fail(path, `its header is not JSON in UTF-8 (${(error as Error).message})`);
  }
}

function parseMetadata(value: unknown, path: string): Map<string, string> {
  if (value === undefined) return new Map();
  if (!isObject(value)) fail(path, "__metadata__ is not an object of strings");
  const entries = Object.entries(value).map(([key, text]): [string, string] => {
    return [key, typeof text === "string" ? text : fail(path, `__metadata__ "${key}" is not a string`)];
  });
  return new Map(entries);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** One entry, checked for itself; offsets still count from the end of the header. */
function parseEntry(name: string, value: unknown, path: string): SafetensorsEntry {
  const bad = (what: string): never => fail(path, `"${name}" ${what}`);
  if (!isObject(value)) return bad("is not an object of dtype, shape and data_offsets");
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  for (const key of Object.keys(rest)) {
    bad(`has the unknown key "${key}", must have dtype, shape and data_offsets only`);
  }
  if (!isDtype(dtype)) return bad(`has dtype ${JSON.stringify(dtype)}, must be one of ${DTYPES.join(", ")}`);
  if (!isSizes(shape)) return bad(`has shape ${JSON.stringify(shape)}, must be a list of non-negative integers`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    return bad(`has data_offsets ${JSON.stringify(offsets)}, must be two non-negative integers`);
  }
  const [begin, end] = offsets as [number, number];
  const bytes = byteLength(dtype, elementCount(shape));
  if (end - begin !== bytes) bad(`spans ${end - begin} bytes, but ${dtype} [${shape.join(", ")}] takes ${bytes}`);
  return { name, dtype, shape, begin, end };
}

/** Requires that tensors, sorted by their place, fill the data without overlap and without a hole. */
function checkLayout(entries: readonly SafetensorsEntry[], size: number, path: string): void {
  let at = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== at) {
      fail(path, `"${name}" starts at byte ${begin} of the data, must start where the last ends, at ${at}`);
    }
    if (end > size) fail(path, `"${name}" ends at byte ${end} of the data, but there are only ${size} bytes`);
    at = end;
  }
  if (at !== size) fail(path, `its tensors end at byte ${at} of the data, but there are ${size} bytes`);
}

/**
 * Reads and checks a header.
 *
 * @param json The bytes of the header without the 8 bytes of its length.
 * @param size Bytes of the whole file.
 * @throws {SyntaxError} With the tensor and the rule that it breaks.
 */
export function parseHeader(json: Uint8Array, size: number, path: string): SafetensorsHeader {
  const { __metadata__, ...tensors } = parseJson(json, path);
  const start = 8 + json.length;
  const relative = Object.entries(tensors).map(([name, value]) => parseEntry(name, value, path));
  relative.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkLayout(relative, size - start, path);
  const entries = relative.map((entry): [string, SafetensorsEntry] => {
    return [entry.name, { ...entry, begin: start + entry.begin, end: start + entry.end }];
  });
  return { metadata: parseMetadata(__metadata__, path), entries: new Map(entries) };
}
