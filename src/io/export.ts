/**
 * Saving parameters so that other tools can load them.
 *
 * @module
 */

import type { LazyTensor } from "./archive.ts";
import type { NamedTensor } from "./dtype.ts";
import { matchName, type NameTable, theirNames } from "./names.ts";
import { writeSafetensors } from "./safetensors.ts";

/** How to export. */
export interface ExportOptions {
  /** The names to write. Default: our own, which are those of the official ALBEF and GRIT-VLP state dicts. */
  readonly table?: NameTable;
  /** Also writes the decoder that is tied to the word embeddings, which the official loaders expect. Default: false. */
  readonly tied?: boolean;
  /** Texts to store beside the tensors. Default: `format: "pt"`, which Hugging Face's loader asks for. */
  readonly metadata?: Readonly<Record<string, string>>;
}

function lazy(tensor: LazyTensor | NamedTensor): LazyTensor {
  if (!("data" in tensor)) return tensor;
  const { name, dtype, shape } = tensor;
  return { name, dtype, shape, read: () => Promise.resolve(tensor) };
}

/** Part `at` of a tensor that is cut in `count` along its first axis. */
function part(tensor: LazyTensor, name: string, at: number, count: number): LazyTensor {
  const rows = (tensor.shape[0] ?? 0) / count, shape = [rows, ...tensor.shape.slice(1)], { dtype } = tensor;
  if (!Number.isInteger(rows)) {
    throw new RangeError(`Cannot export "${tensor.name}": ${tensor.shape[0]} rows cannot be cut into ${count}`);
  }
  const read = async () => {
    const { data } = await tensor.read();
    const size = data.length / count;
    return { name, dtype, shape, data: data.subarray(at * size, (at + 1) * size) };
  };
  return { name, dtype, shape, read };
}

/** One of our tensors under the names of a tool. */
function rename(tensor: LazyTensor, table: NameTable): LazyTensor[] {
  const [names] = theirNames(table, tensor.name);
  if (names === undefined) throw new RangeError(`Cannot export "${tensor.name}": ${table.title} has no name for it`);
  if (names.length > 1) return names.map((name, at) => part(tensor, name, at, names.length));
  return [{ ...tensor, name: names[0]! }];
}

/** The second copies that belong to each masked language head, under the names that they have in state dicts. */
function tiedCopies(tensors: readonly LazyTensor[]): LazyTensor[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const heads = tensors.flatMap(({ name }) => matchName("*cls.predictions.bias", name) ?? []);
  return heads.flatMap((prefix) => {
    const weight = byName.get(`${prefix}bert.embeddings.word_embeddings.weight`);
    const bias = byName.get(`${prefix}cls.predictions.bias`)!;
    const decoder = `${prefix}cls.predictions.decoder`;
    return [...(weight ? [{ ...weight, name: `${decoder}.weight` }] : []), { ...bias, name: `${decoder}.bias` }];
  });
}

/**
 * Writes parameters as safetensors, atomically and in the order given. The same parameters give the same bytes, so saving,
 * loading and saving again gives identical files.
 *
 * @param tensors Parameters under our names; lazy ones are read one at a time.
 * @throws {RangeError} When the table has no name for a parameter.
 */
export async function exportParameters(
  path: string,
  tensors: Iterable<LazyTensor | NamedTensor>,
  { table, tied = false, metadata = { format: "pt" } }: ExportOptions = {},
): Promise<void> {
  const own = [...tensors].map(lazy);
  const named = table === undefined ? own : own.flatMap((tensor) => rename(tensor, table));
  await writeSafetensors(path, tied ? [...named, ...tiedCopies(named)] : named, metadata);
}
