/** Writes archives as `torch.save` does, and wrong ones, for the tests of the reader. */

import { crc32 } from "../../src/io/crc32.ts";

/** A call in a pickle: a global and its arguments. */
export class Call {
  constructor(readonly name: string, readonly args: readonly unknown[]) {}
}

/** A global that is not called. */
export class Name {
  constructor(readonly name: string) {}
}

/** A reference to a storage. */
export class StorageId {
  constructor(readonly id: readonly unknown[]) {}
}

/** A tuple; JavaScript arrays become lists. */
export class TupleOf {
  readonly items: readonly unknown[];
  constructor(...items: readonly unknown[]) {
    this.items = items;
  }
}

const OP = (text: string): number[] => [...new TextEncoder().encode(text)];

function int32(value: number): number[] {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
}

function encodeNumber(value: number): number[] {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) return [...OP("J"), ...int32(value)];
  if (Number.isInteger(value)) {
    return [0x8A, 8, ...new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)];
  }
  return [...OP("G"), ...new Uint8Array(Float64Array.of(value).buffer).reverse()];
}

function encodeGlobal(name: string): number[] {
  const at = name.lastIndexOf(".");
  return OP(`c${name.slice(0, at)}\n${name.slice(at + 1)}\n`);
}

/** The instructions of protocol 2 that push a value. */
export function encodePickleValue(value: unknown): number[] {
  if (value === null) return OP("N");
  if (typeof value === "boolean") return [value ? 0x88 : 0x89];
  if (typeof value === "number") return encodeNumber(value);
  if (typeof value === "string") return [...OP("X"), ...int32(OP(value).length), ...OP(value)];
  const all = (items: readonly unknown[]) => items.flatMap(encodePickleValue);
  if (value instanceof TupleOf) return [...OP("("), ...all(value.items), ...OP("t")];
  if (Array.isArray(value)) return [...OP("]("), ...all(value), ...OP("e")];
  if (value instanceof Map) return [...OP("}("), ...all([...value].flat(1)), ...OP("u")];
  if (value instanceof Name) return encodeGlobal(value.name);
  if (value instanceof Call) {
    return [...encodeGlobal(value.name), ...encodePickleValue(new TupleOf(...value.args)), ...OP("R")];
  }
  if (value instanceof StorageId) return [...encodePickleValue(new TupleOf(...value.id)), ...OP("Q")];
  return encodePickleValue(new Map(Object.entries(value as object)));
}

/** A whole pickle of protocol 2. */
export function makePickle(value: unknown): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([0x80, 2, ...encodePickleValue(value), ...OP(".")]);
}

/** A view of a float storage, as `torch.save` pickles a tensor. */
export function tensor(
  key: string,
  count: number,
  shape: readonly number[],
  strides: readonly number[],
  offset = 0,
  type = "torch.FloatStorage",
): Call {
  const storage = new StorageId(["storage", new Name(type), key, "cpu", count]);
  const hooks = new Call("collections.OrderedDict", []);
  return new Call("torch._utils._rebuild_tensor_v2", [
    storage,
    offset,
    new TupleOf(...shape),
    new TupleOf(...strides),
    false,
    hooks,
  ]);
}

function concat(parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function int16(value: number): number[] {
  return int32(value).slice(0, 2);
}

/** A file of a ZIP archive: its bytes, or what makes them when it is their turn. */
type ZipFile = readonly [name: string, bytes: Uint8Array | (() => Uint8Array)];

/** The pieces of a ZIP archive of stored entries; `wide` writes the 64-bit records even though they are not needed. */
export function* zipPieces(files: readonly ZipFile[], wide = false): Generator<Uint8Array<ArrayBuffer>> {
  const directory: number[] = [];
  let at = 0;
  for (const [name, given] of files) {
    const bytes = typeof given === "function" ? given() : given;
    const sum = int32(crc32(bytes)), size = bytes.length, sums = [...sum, ...int32(size), ...int32(size)];
    const local = [
      ...OP("PK\x03\x04"),
      20,
      0,
      ...int32(0),
      ...int32(0),
      ...sums,
      ...int16(OP(name).length),
      0,
      0,
      ...OP(name),
    ];
    const widths = [size, 0, size, 0, at, 0].flatMap(int32);
    const extra = wide ? [1, 0, ...int16(widths.length), ...widths] : [];
    const short = wide ? [...sum, ...int32(-1), ...int32(-1)] : sums;
    directory.push(...OP("PK\x01\x02"), 20, 0, 20, 0, ...int32(0), ...int32(0), ...short);
    directory.push(...int16(OP(name).length), ...int16(extra.length), ...int16(0), ...int32(0), ...int32(0));
    directory.push(...int32(wide ? -1 : at), ...OP(name), ...extra);
    yield Uint8Array.from(local);
    yield bytes as Uint8Array<ArrayBuffer>;
    at += local.length + size;
  }
  const count = files.length, length = directory.length;
  const wideEnd = [...OP("PK\x06\x06"), ...int32(44), ...int32(0), 45, 0, 45, 0, ...int32(0), ...int32(0)];
  wideEnd.push(...[count, 0, count, 0, length, 0, at, 0].flatMap(int32));
  const locator = [...OP("PK\x06\x07"), ...int32(0), ...int32(at + length), ...int32(0), ...int32(1)];
  const [shortCount, shortLength, shortAt] = wide ? [-1, -1, -1] : [count, length, at];
  const end = [...OP("PK\x05\x06"), ...int32(0), ...int16(shortCount), ...int16(shortCount), ...int32(shortLength)];
  end.push(...int32(shortAt), 0, 0);
  yield concat([directory, ...(wide ? [wideEnd, locator] : []), end]);
}

/** A whole ZIP archive. */
export function makeZip(files: readonly ZipFile[], wide = false): Uint8Array<ArrayBuffer> {
  return concat([...zipPieces(files, wide)]);
}

/** The pieces of a `.pth` archive: a value and the storages that it refers to. */
export function pthPieces(
  value: unknown,
  storages: Readonly<Record<string, Float32Array | Uint8Array | (() => Uint8Array)>> = {},
  wide = false,
): Generator<Uint8Array<ArrayBuffer>> {
  const data = Object.entries(storages).map(([key, elements]): ZipFile => {
    return [`archive/data/${key}`, typeof elements === "function" ? elements : new Uint8Array(elements.buffer)];
  });
  return zipPieces(
    [["archive/data.pkl", makePickle(value)], ...data, ["archive/version", new Uint8Array(OP("3\n"))]],
    wide,
  );
}

/** A whole `.pth` archive. */
export function makePth(...given: Parameters<typeof pthPieces>): Uint8Array<ArrayBuffer> {
  return concat([...pthPieces(...given)]);
}
