/**
 * Reading ZIP archives: the directory at the end of the file, and entries that are stored or deflated. Every place and length
 * is checked against the file (APPNOTE.TXT 6.3, "Overall .ZIP file format").
 *
 * @module
 */

import { crc32 } from "./crc32.ts";
import type { ByteSource } from "./source.ts";

const LOCAL = 0x04034B50, CENTRAL = 0x02014B50, END = 0x06054B50, END_64 = 0x06064B50, LOCATOR_64 = 0x07064B50;
const END_BYTES = 22, LOCATOR_BYTES = 20, END_64_BYTES = 56, CENTRAL_BYTES = 46, LOCAL_BYTES = 30;

/** The longest directory that is read, in bytes. */
const MAX_DIRECTORY_BYTES = 2 ** 27;

/** An entry may be this many times longer than its deflated bytes; weights do not compress beyond it, bombs do. */
const MAX_INFLATION = 64;

/** A file within the archive. */
export interface ZipEntry {
  /** The name, with slashes. */
  readonly name: string;
  /** Bytes when unpacked. */
  readonly size: number;
  /** Bytes in the archive. */
  readonly packedSize: number;
  /** Whether the bytes are deflated rather than stored. */
  readonly deflated: boolean;
  /** CRC-32 of the unpacked bytes. */
  readonly checksum: number;
  /** Where the header before the bytes starts. */
  readonly header: number;
}

/** A ZIP archive, opened. */
export interface ZipArchive {
  /** The path, for messages. */
  readonly path: string;
  /** Entries by name. */
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** Unpacks one entry and checks its CRC-32. */
  read(entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>>;
}

function fail(path: string, what: string): never {
  throw new SyntaxError(`Cannot read "${path}" as a ZIP archive: ${what}`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

interface Directory {
  readonly count: number;
  readonly begin: number;
  readonly end: number;
}

/** Finds the end record: the last one whose comment reaches exactly to the end of the file. */
async function findDirectory(source: ByteSource): Promise<Directory> {
  const { path, size } = source;
  const tail = viewOf(await source.read(Math.max(0, size - END_BYTES - 65535), size));
  let at = tail.byteLength - END_BYTES;
  const isEnd = () =>
    tail.getUint32(at, true) === END && at + END_BYTES + tail.getUint16(at + 20, true) === tail.byteLength;
  while (at >= 0 && !isEnd()) at--;
  if (at < 0) fail(path, "it has no end record; the file is no archive or is truncated");
  if (tail.getUint16(at + 4, true) !== 0 || tail.getUint16(at + 6, true) !== 0) fail(path, "it spans several disks");
  const place = size - tail.byteLength + at;
  const count = tail.getUint16(at + 10, true),
    length = tail.getUint32(at + 12, true),
    begin = tail.getUint32(at + 16, true);
  if (count === 0xFFFF || length === 0xFFFFFFFF || begin === 0xFFFFFFFF) return findDirectory64(source, place);
  if (begin + length > place) {
    fail(path, `its directory ends at byte ${begin + length}, beyond its end record at ${place}`);
  }
  return { count, begin, end: begin + length };
}

/** The directory by the longer records that stand before the end record of an archive beyond 4 GiB. */
async function findDirectory64(source: ByteSource, place: number): Promise<Directory> {
  const { path } = source;
  if (place < LOCATOR_BYTES + END_64_BYTES) fail(path, "its 64-bit end record is missing");
  const locator = viewOf(await source.read(place - LOCATOR_BYTES, place));
  if (locator.getUint32(0, true) !== LOCATOR_64) fail(path, "its 64-bit end record is missing");
  const at = Number(locator.getBigUint64(8, true));
  if (at > place - LOCATOR_BYTES - END_64_BYTES) fail(path, `its 64-bit end record is said to be at byte ${at}`);
  const record = viewOf(await source.read(at, at + END_64_BYTES));
  if (record.getUint32(0, true) !== END_64) fail(path, `there is no 64-bit end record at byte ${at}`);
  const count = Number(record.getBigUint64(32, true)), length = Number(record.getBigUint64(40, true));
  const begin = Number(record.getBigUint64(48, true));
  if (begin + length > at) fail(path, `its directory ends at byte ${begin + length}, beyond its end record at ${at}`);
  return { count, begin, end: begin + length };
}

/** The 64-bit sizes and place that an entry has in its extra field when the short ones are all ones. */
function widen(extra: DataView, short: [number, number, number], bad: (what: string) => never): number[] {
  if (!short.includes(0xFFFFFFFF)) return short;
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== 1) continue;
    let next = at + 4;
    const end = next + extra.getUint16(at + 2, true);
    return short.map((value) => {
      if (value !== 0xFFFFFFFF) return value;
      if (next + 8 > Math.min(end, extra.byteLength)) bad("has a 64-bit field that is too short");
      next += 8;
      return Number(extra.getBigUint64(next - 8, true));
    });
  }
  return bad("lacks its 64-bit field");
}

/** Nothing is unpacked to the disk here, but no honest archive has absolute names or those of parents. */
function leavesFolder(name: string): boolean {
  return /^([/\\]|[A-Za-z]:)|(^|[/\\])\.\.([/\\]|$)/.test(name) || name.includes("\0");
}

/** One record of the directory and the length that it takes. */
function parseRecord(directory: Uint8Array, at: number, path: string): [entry: ZipEntry, next: number] {
  const view = viewOf(directory);
  if (at + CENTRAL_BYTES > directory.length || view.getUint32(at, true) !== CENTRAL) {
    fail(path, `its directory has no record at byte ${at}`);
  }
  const nameEnd = at + CENTRAL_BYTES + view.getUint16(at + 28, true),
    extraEnd = nameEnd + view.getUint16(at + 30, true);
  const next = extraEnd + view.getUint16(at + 32, true);
  if (next > directory.length) fail(path, `the record at byte ${at} reaches beyond its directory`);
  const name = new TextDecoder().decode(directory.subarray(at + CENTRAL_BYTES, nameEnd));
  const bad = (what: string): never => fail(path, `its entry "${name}" ${what}`);
  if (leavesFolder(name)) bad("leaves the folder that it would be unpacked to");
  if (view.getUint16(at + 8, true) & 0x2041) bad("is encrypted");
  const method = view.getUint16(at + 10, true);
  if (method !== 0 && method !== 8) bad(`is packed by method ${method}, must be stored (0) or deflated (8)`);
  const short: [number, number, number] = [24, 20, 42].map((offset) => view.getUint32(at + offset, true)) as never;
  const [size, packedSize, header] = widen(viewOf(directory.subarray(nameEnd, extraEnd)), short, bad) as typeof short;
  const checksum = view.getUint32(at + 16, true);
  if (method === 0 && size !== packedSize) bad(`is stored, but has ${size} bytes unpacked and ${packedSize} packed`);
  if (size > packedSize * MAX_INFLATION + 1024) bad(`claims to grow from ${packedSize} to ${size} bytes`);
  return [{ name, size, packedSize, deflated: method === 8, checksum, header }, next];
}

/** Requires that entries lie before the directory and apart from each other. */
function checkPlaces(entries: Iterable<ZipEntry>, limit: number, path: string): void {
  let at = 0;
  for (const { name, header, packedSize } of [...entries].sort((a, b) => a.header - b.header)) {
    if (header < at) fail(path, `its entry "${name}" at byte ${header} overlaps the one before, which ends at ${at}`);
    at = header + LOCAL_BYTES + packedSize;
    if (at > limit) fail(path, `its entry "${name}" ends at byte ${at}, beyond the directory at ${limit}`);
  }
}

async function parseDirectory(source: ByteSource, { count, begin, end }: Directory): Promise<Map<string, ZipEntry>> {
  const { path } = source;
  if (end - begin > MAX_DIRECTORY_BYTES) fail(path, `its directory has ${end - begin} bytes, at most 2^27 are read`);
  const directory = await source.read(begin, end);
  const entries = new Map<string, ZipEntry>();
  for (let at = 0; at < directory.length;) {
    const [entry, next] = parseRecord(directory, at, path);
    if (entries.has(entry.name)) fail(path, `it has two entries "${entry.name}"`);
    entries.set(entry.name, entry);
    at = next;
  }
  if (entries.size !== count) fail(path, `its end record claims ${count} entries, its directory has ${entries.size}`);
  checkPlaces(entries.values(), begin, path);
  return entries;
}

/** Where the bytes of an entry start; the record in front of them must agree with the directory. */
async function dataPlace(source: ByteSource, entry: ZipEntry, limit: number): Promise<number> {
  const bad = (what: string): never => fail(source.path, `its entry "${entry.name}" ${what}`);
  const local = viewOf(await source.read(entry.header, entry.header + LOCAL_BYTES));
  if (local.getUint32(0, true) !== LOCAL) bad(`has no header at byte ${entry.header}`);
  const nameEnd = entry.header + LOCAL_BYTES + local.getUint16(26, true), begin = nameEnd + local.getUint16(28, true);
  if (begin + entry.packedSize > limit) bad("reaches into what follows it");
  const name = new TextDecoder().decode(await source.read(entry.header + LOCAL_BYTES, nameEnd));
  if (name !== entry.name) bad(`is called "${name}" at byte ${entry.header}`);
  return begin;
}

/** Inflates to exactly `size` bytes and stops as soon as there are more; memory grows with what there is, not with the claim. */
async function inflate(
  packed: Uint8Array<ArrayBuffer>,
  size: number,
  bad: (what: string) => never,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let count = 0;
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  try {
    for await (const piece of stream) {
      count += piece.length;
      if (count > size) bad(`inflates to more than the ${size} bytes that it claims`);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw error;
    bad(`cannot be inflated (${(error as Error).message})`);
  }
  if (count !== size) bad(`inflates to ${count} bytes, claims ${size}`);
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/**
 * Reads the directory of a ZIP archive.
 *
 * @throws {SyntaxError} When the file is no such archive, is truncated or contradicts itself.
 */
export async function readZip(source: ByteSource): Promise<ZipArchive> {
  const { path } = source;
  const directory = await findDirectory(source);
  const entries = await parseDirectory(source, directory);
  const headers = [...entries.values()].map((entry) => entry.header).sort((a, b) => a - b).concat(directory.begin);
  const limits = new Map(headers.slice(1).map((limit, at) => [headers[at]!, limit]));
  const read = async (entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>> => {
    const bad = (what: string): never => fail(path, `its entry "${entry.name}" ${what}`);
    const begin = await dataPlace(source, entry, limits.get(entry.header)!);
    const packed = await source.read(begin, begin + entry.packedSize);
    const bytes = entry.deflated ? await inflate(packed, entry.size, bad) : packed;
    if (crc32(bytes) !== entry.checksum) bad("is damaged: its CRC-32 differs from the stored one");
    return bytes;
  };
  return { path, entries, read };
}
