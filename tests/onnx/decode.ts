/** Values from the tensors of files. */
import { bitsOf, ELEMENT_TYPES, type ElementType, isInteger, NotExpressible, sizeOf } from "./types.ts";
import { decodeSmallFloat, isSmallFloat } from "./float8.ts";
import { Value } from "./value.ts";
import type { TensorMessage } from "./schema.ts";

/** The type whose number in files is `id`. */
export function typeOf(id: number): ElementType {
  const type = ELEMENT_TYPES[id];
  if (!type) throw new NotExpressible(`elements of type number ${id}`);
  return type;
}

/** The value of a tensor in a file. */
export function valueOf(message: TensorMessage): Value {
  const type = typeOf(message.dataType), size = sizeOf(message.dims);
  if (message.dataLocation) throw new NotExpressible("data in other files");
  const numbers = message.rawData?.length ? fromRaw(type, message.rawData) : fromFields(type, message);
  if (numbers.length < size) {
    throw new Error(
      `Cannot read a tensor ${type}[${message.dims}]: it must hold ${size} numbers: it holds ${numbers.length}`,
    );
  }
  return Value.of(type, message.dims, Array.prototype.slice.call(numbers, 0, size));
}

type Reader = (bytes: ArrayBuffer) => ArrayLike<number>;

const READERS: Partial<Record<ElementType, Reader>> = {
  float: (b) => new Float32Array(b),
  double: (b) => new Float64Array(b),
  float16: (b) => new Float16Array(b),
  bfloat16: (b) => fromBfloat16(new Uint16Array(b)),
  bool: (b) => new Uint8Array(b),
  int8: (b) => new Int8Array(b),
  uint8: (b) => new Uint8Array(b),
  int16: (b) => new Int16Array(b),
  uint16: (b) => new Uint16Array(b),
  int32: (b) => new Int32Array(b),
  uint32: (b) => new Uint32Array(b),
  int64: (b) => Array.from(new BigInt64Array(b), Number),
  uint64: (b) => Array.from(new BigUint64Array(b), Number),
};

function fromRaw(type: ElementType, bytes: Uint8Array): ArrayLike<number> {
  if (isInteger(type) && bitsOf(type) < 8) return unpacked(type, bytes);
  if (isSmallFloat(type)) return smallFloats(type, bytes);
  const read = READERS[type];
  if (!read) throw new NotExpressible(`elements of type ${type}`);
  return read(bytes.slice().buffer);
}

/** Integers of 2 or 4 bits, the first in the lowest bits of a byte. */
function unpacked(type: ElementType, bytes: ArrayLike<number>): number[] {
  const bits = bitsOf(type), perByte = 8 / bits, signed = !type.startsWith("u");
  return Array.from(bytes).flatMap((byte) =>
    Array.from({ length: perByte }, (_, i) => {
      const x = (byte >> (i * bits)) & (2 ** bits - 1);
      return signed && x >= 2 ** (bits - 1) ? x - 2 ** bits : x;
    })
  );
}

/** Floats of 8 bits, or of 4 bits two in a byte. */
function smallFloats(type: ElementType, bytes: ArrayLike<number>): number[] {
  const codes = Array.from(bytes).flatMap((byte) => type === "float4e2m1" ? [byte & 15, byte >> 4] : [byte]);
  return codes.map((code) => decodeSmallFloat(type, code));
}

function fromBfloat16(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (x) => x << 16).buffer);
}

function fromFields(type: ElementType, m: TensorMessage): ArrayLike<number> {
  if (type === "float") return m.floatData;
  if (type === "double") return m.doubleData;
  if (type === "int64") return m.int64Data;
  if (type === "uint32" || type === "uint64") return m.uint64Data;
  if (type === "float16") return new Float16Array(Uint16Array.from(m.int32Data).buffer);
  if (type === "bfloat16") return fromBfloat16(Uint16Array.from(m.int32Data));
  if (isSmallFloat(type)) return smallFloats(type, m.int32Data);
  if (isInteger(type) && bitsOf(type) < 8) return unpacked(type, m.int32Data);
  if (isInteger(type) || type === "bool") return m.int32Data;
  throw new NotExpressible(`elements of type ${type}`);
}
