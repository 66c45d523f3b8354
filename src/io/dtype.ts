/**
 * The number formats of tensors in files, and the way from their bytes to arrays of JavaScript.
 *
 * @module
 */

/** Bits of one element, by the name that safetensors gives the format. */
export const DTYPE_BITS = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  U16: 16,
  I16: 16,
  U32: 32,
  I32: 32,
  U64: 64,
  I64: 64,
  F16: 16,
  BF16: 16,
  F32: 32,
  F64: 64,
  C64: 64,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E5M2FNUZ: 8,
  F8_E4M3FNUZ: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

/** The name of a number format, as safetensors writes it. */
export type Dtype = keyof typeof DTYPE_BITS;

/** All formats that can be named, read as bytes and written. */
export const DTYPES: readonly Dtype[] = Object.keys(DTYPE_BITS) as Dtype[];

/** Whether a text is the name of a number format. */
export function isDtype(name: unknown): name is Dtype {
  return typeof name === "string" && Object.hasOwn(DTYPE_BITS, name);
}

/** Whether the format holds real numbers with a fraction. */
export function isFloat(dtype: Dtype): boolean {
  return dtype.startsWith("F") || dtype === "BF16";
}

/** The number of elements of a shape; `Infinity` or an inexact number when it is beyond what a file can hold. */
export function elementCount(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
}

/** Bytes of `count` elements; a fraction when elements narrower than a byte do not fill the last one. */
export function byteLength(dtype: Dtype, count: number): number {
  return count * DTYPE_BITS[dtype] / 8;
}

/** The bytes of a tensor as one of JavaScript's arrays. */
export type TensorData =
  | Uint8Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>;

/**
 * A tensor on the host. `data` is a `Float32Array` for F32, an `Int32Array` for I32, a `Uint32Array` for U32, and the bytes,
 * little-endian, for every other format; row-major.
 */
export interface NamedTensor {
  /** The name in the file or in the parameter tree, parts joined by dots. */
  readonly name: string;
  /** The format that `data` is in. */
  readonly dtype: Dtype;
  /** The extents; [] for a scalar. */
  readonly shape: readonly number[];
  /** The elements. */
  readonly data: TensorData;
}

/** Bytes of a tensor, viewed as the array that its format has. Copies only when the bytes are not aligned. */
export function viewBytes(dtype: Dtype, bytes: Uint8Array<ArrayBuffer>): TensorData {
  if (dtype !== "F32" && dtype !== "I32" && dtype !== "U32") return bytes;
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const view = [aligned.buffer, aligned.byteOffset, aligned.length / 4] as const;
  if (dtype === "F32") return new Float32Array(...view);
  return dtype === "I32" ? new Int32Array(...view) : new Uint32Array(...view);
}

/** The bytes of an array, without a copy. */
export function bytesOf(data: TensorData): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

let halves: Float32Array | undefined;

/** The value of each of the 65,536 half-precision numbers (IEEE 754 binary16). */
function halfTable(): Float32Array {
  if (halves !== undefined) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) halves[bits] = fraction ? NaN : sign * Infinity;
    else halves[bits] = sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
  }
  return halves;
}

function brainToFloat(bytes: DataView, count: number): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(count);
  for (let at = 0; at < count; at++) words[at] = bytes.getUint16(2 * at, true) << 16;
  return new Float32Array(words.buffer);
}

/** Reads element `at` of a format as a number; undefined for formats that have no reader. */
const READERS: Partial<Record<Dtype, (bytes: DataView, at: number) => number | bigint>> = {
  BOOL: (bytes, at) => bytes.getUint8(at),
  U8: (bytes, at) => bytes.getUint8(at),
  I8: (bytes, at) => bytes.getInt8(at),
  U16: (bytes, at) => bytes.getUint16(2 * at, true),
  I16: (bytes, at) => bytes.getInt16(2 * at, true),
  U32: (bytes, at) => bytes.getUint32(4 * at, true),
  I32: (bytes, at) => bytes.getInt32(4 * at, true),
  U64: (bytes, at) => bytes.getBigUint64(8 * at, true),
  I64: (bytes, at) => bytes.getBigInt64(8 * at, true),
  F16: (bytes, at) => halfTable()[bytes.getUint16(2 * at, true)]!,
  F32: (bytes, at) => bytes.getFloat32(4 * at, true),
  F64: (bytes, at) => bytes.getFloat64(8 * at, true),
};

/** Converts element by element; `fits` decides whether the number survives in the target. */
function convert<T extends Float32Array | Int32Array | Uint32Array>(
  tensor: NamedTensor,
  target: T,
  format: string,
  fits: (value: number) => boolean,
): T {
  const read = READERS[tensor.dtype];
  if (read === undefined) throw new TypeError(`Cannot convert "${tensor.name}": ${tensor.dtype} has no ${format} form`);
  const view = new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  for (let at = 0; at < target.length; at++) {
    const value = read(view, at), number = Number(value);
    if (!fits(number)) {
      throw new RangeError(
        `Cannot convert "${tensor.name}": ${value} at ${at} (${tensor.dtype}) does not fit ${format}`,
      );
    }
    target[at] = number;
  }
  return target;
}

/**
 * The elements as 32-bit floats. F32 is returned as it is, BF16 and F16 are widened, F64 is rounded.
 *
 * @throws {RangeError} When an integer is not exact in a float, or a finite F64 is beyond the largest float.
 * @throws {TypeError} When the format has no floats (8-bit and narrower floats, complex numbers).
 */
export function toFloat32(tensor: NamedTensor): Float32Array<ArrayBuffer> {
  if (tensor.data instanceof Float32Array) return tensor.data;
  const count = elementCount(tensor.shape);
  if (tensor.dtype === "BF16") return brainToFloat(new DataView(tensor.data.buffer, tensor.data.byteOffset), count);
  const fits = isFloat(tensor.dtype)
    ? (value: number) => !Number.isFinite(value) || Number.isFinite(Math.fround(value))
    : (value: number) => Math.fround(value) === value;
  return convert(tensor, new Float32Array(count), "F32", fits);
}

/**
 * The elements as 32-bit signed integers.
 *
 * @throws {RangeError} When a number is no integer of 32 bits.
 * @throws {TypeError} When the format has no integer form.
 */
export function toInt32(tensor: NamedTensor): Int32Array<ArrayBuffer> {
  if (tensor.data instanceof Int32Array) return tensor.data;
  return convert(tensor, new Int32Array(elementCount(tensor.shape)), "I32", (value) => (value | 0) === value);
}

/**
 * The elements as 32-bit unsigned integers.
 *
 * @throws {RangeError} When a number is no unsigned integer of 32 bits.
 * @throws {TypeError} When the format has no integer form.
 */
export function toUint32(tensor: NamedTensor): Uint32Array<ArrayBuffer> {
  if (tensor.data instanceof Uint32Array) return tensor.data;
  return convert(tensor, new Uint32Array(elementCount(tensor.shape)), "U32", (value) => (value >>> 0) === value);
}
