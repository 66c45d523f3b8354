/**
 * Reading and writing safetensors files (https://github.com/huggingface/safetensors).
 *
 * @module
 */

import { type Archive, entryOf, type LazyTensor } from "./archive.ts";
import { writeFileAtomic } from "./atomic.ts";
import { byteLength, bytesOf, elementCount, isDtype, type NamedTensor, viewBytes } from "./dtype.ts";
import { headerLength, parseHeader, type SafetensorsEntry } from "./safetensors_header.ts";
import { type ByteSource, openFile } from "./source.ts";

function tensorOf(entry: SafetensorsEntry, bytes: Uint8Array<ArrayBuffer>): NamedTensor {
  const { name, dtype, shape } = entry;
  return { name, dtype, shape, data: viewBytes(dtype, bytes) };
}

/**
 * Reads the header from a source and leaves the data where it is.
 *
 * @throws {SyntaxError} When the header breaks a rule of the format; the sentence names the file, the tensor and the rule.
 */
export async function readSafetensors(source: ByteSource): Promise<Archive> {
  const length = headerLength(await source.read(0, Math.min(8, source.size)), source.size, source.path);
  const { metadata, entries } = parseHeader(await source.read(8, 8 + length), source.size, source.path);
  const archive: Archive = {
    path: source.path,
    metadata,
    tensors: entries,
    async read(name) {
      const entry = entryOf(entries, name, source.path);
      return tensorOf(entry, await source.read(entry.begin, entry.end));
    },
    close: () => source.close(),
  };
  return archive;
}

/**
 * Opens a safetensors file. Its header is read and checked; a tensor is read when asked for, and only its bytes.
 *
 * @throws {SyntaxError} When the header breaks a rule of the format; the sentence names the file, the tensor and the rule.
 */
export async function openSafetensors(path: string): Promise<Archive> {
  const source = await openFile(path);
  try {
    return await readSafetensors(source);
  } catch (error) {
    source.close();
    throw error;
  }
}

/**
 * The tensors of a safetensors file that is in memory, in the order of their data.
 *
 * @param path What to call the file in messages.
 * @throws {SyntaxError} As `openSafetensors`.
 */
export function parseSafetensors(bytes: Uint8Array, path = "these bytes"): Map<string, NamedTensor> {
  const length = headerLength(bytes.subarray(0, 8), bytes.length, path);
  const { entries } = parseHeader(bytes.subarray(8, 8 + length), bytes.length, path);
  const slice = ({ begin, end }: SafetensorsEntry) => bytes.slice(begin, end) as Uint8Array<ArrayBuffer>;
  return new Map([...entries.values()].map((entry) => [entry.name, tensorOf(entry, slice(entry))]));
}

function checkNames(tensors: readonly (LazyTensor | NamedTensor)[], path: string): void {
  const seen = new Set<string>(["__metadata__"]);
  for (const { name, dtype } of tensors) {
    if (seen.has(name)) throw new RangeError(`Cannot write "${path}": the name "${name}" is taken`);
    if (!isDtype(dtype)) throw new TypeError(`Cannot write "${path}": "${name}" has the unknown dtype ${dtype}`);
    seen.add(name);
  }
}

/** The length and the JSON, padded with spaces so that the data starts at a multiple of 8. */
function encodeHeader(
  tensors: readonly (LazyTensor | NamedTensor)[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    const begin = end;
    end += byteLength(dtype, elementCount(shape));
    entries.push([name, { dtype, shape, data_offsets: [begin, end] }]);
  }
  // One by one: an object would move names that look like numbers to the front.
  const members = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return header;
}

async function* encode(
  header: Uint8Array,
  tensors: readonly (LazyTensor | NamedTensor)[],
  path: string,
): AsyncGenerator<Uint8Array> {
  yield header;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const bytes = bytesOf(("data" in tensor ? tensor : await tensor.read()).data);
    const expected = byteLength(dtype, elementCount(shape));
    if (bytes.length !== expected) {
      const state = `"${name}" has ${bytes.length} bytes, ${dtype} [${shape.join(", ")}] takes ${expected}`;
      throw new RangeError(`Cannot write "${path}": ${state}`);
    }
    yield bytes;
  }
}

/**
 * Writes a safetensors file atomically. The same tensors give the same bytes: they stand in the order given, and the header
 * is padded with spaces to a multiple of 8 bytes as by the reference implementation. Lazy tensors are read one at a time.
 *
 * @param metadata Texts to store as `__metadata__`.
 * @throws {RangeError} When two tensors have one name, or elements do not fill the shape; no file is left then.
 * @throws {DiskError} As `writeFileAtomic`.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<LazyTensor | NamedTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const list = [...tensors];
  checkNames(list, path);
  const header = encodeHeader(list, metadata);
  const bytes = list.reduce((n, { dtype, shape }) => n + byteLength(dtype, elementCount(shape)), header.length);
  await writeFileAtomic(path, encode(header, list, path), { bytes });
}
