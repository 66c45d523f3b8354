/**
 * Tensors as PyTorch keeps them: views with strides of storages.
 *
 * @module
 */

import { byteLength, type Dtype, elementCount } from "./dtype.ts";

/** A run of elements that one entry of the archive holds. */
export interface TorchStorage {
  /** The last part of the entry's name. */
  readonly key: string;
  /** The format; U8 for untyped storages. */
  readonly dtype: Dtype;
  /** Number of elements. */
  readonly count: number;
}

/** A view of a storage: element (i, j, ...) lies at `offset + i * strides[0] + j * strides[1] + ...`. */
export interface TorchTensor {
  /** Where the elements are. */
  readonly storage: TorchStorage;
  /** The format of the elements. */
  readonly dtype: Dtype;
  /** The extents. */
  readonly shape: readonly number[];
  /** Distance between neighbours of each axis, in elements. */
  readonly strides: readonly number[];
  /** The first element. */
  readonly offset: number;
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

type Elements =
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>;

/** Bytes as elements of the same width, whatever their meaning; the bytes start where their buffer does. */
function elementsOf(bytes: Uint8Array<ArrayBuffer>, width: number): Elements {
  const Type = width === 1 ? Uint8Array : width === 2 ? Uint16Array : width === 4 ? Uint32Array : BigUint64Array;
  return new Type(bytes.buffer, 0, Math.floor(bytes.length / width));
}

function gather({ shape, strides, offset }: TorchTensor, from: Elements, to: Elements): void {
  const index = shape.map(() => 0);
  for (let at = 0, place = offset; at < to.length; at++) {
    to[at] = from[place]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      place -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
}

/**
 * The elements of a tensor in row-major order.
 *
 * @param storage The bytes of its storage, at the start of their buffer.
 */
export function materialise(tensor: TorchTensor, storage: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const { dtype, shape, strides, offset } = tensor;
  const width = byteLength(dtype, 1), length = byteLength(dtype, elementCount(shape));
  if (length === 0) return new Uint8Array(0);
  if (isContiguous(shape, strides)) {
    return length === storage.length ? storage : storage.slice(offset * width, offset * width + length);
  }
  const bytes = new Uint8Array(length);
  gather(tensor, elementsOf(storage, width), elementsOf(bytes, width));
  return bytes;
}
