/**
 * What all files of tensors look like to the rest of the code.
 *
 * @module
 */

import type { Dtype, NamedTensor } from "./dtype.ts";

/** What a file says about a tensor before its elements are read. */
export type TensorInfo = Omit<NamedTensor, "data">;

/** A file of named tensors, opened. Only the tensor that is asked for is read. */
export interface Archive {
  /** The path, for messages. */
  readonly path: string;
  /** Texts that the file carries beside its tensors. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Format and shape by name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Reads one tensor; an error names the tensor and the file. */
  read(name: string): Promise<NamedTensor>;
  /** Gives the file back to the system. */
  close(): void;
}

/** A tensor of known format and shape whose elements are fetched when it is their turn. */
export interface LazyTensor {
  /** The name. */
  readonly name: string;
  /** The format. */
  readonly dtype: Dtype;
  /** The extents. */
  readonly shape: readonly number[];
  /** Fetches the elements. */
  read(): Promise<NamedTensor>;
}

/** The entry called `name`; an error that names the file when it has none. */
export function entryOf<T>(entries: ReadonlyMap<string, T>, name: string, path: string): T {
  const entry = entries.get(name);
  if (entry === undefined) throw new RangeError(`Cannot read "${name}": "${path}" has no tensor of this name`);
  return entry;
}

/** The tensors of an archive as lazy tensors, in the order of the file. */
export function lazyTensors(archive: Archive): LazyTensor[] {
  return [...archive.tensors.values()].map((info) => ({ ...info, read: () => archive.read(info.name) }));
}
