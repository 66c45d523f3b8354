/**
 * Reading the archives that `torch.save` writes (PyTorch 1.6 and later): a ZIP archive of one pickle, `data.pkl`, and one
 * entry of raw bytes for each storage.
 *
 * @module
 */

import { type Archive, entryOf, type TensorInfo } from "./archive.ts";
import { byteLength, elementCount, viewBytes } from "./dtype.ts";
import { unpickle } from "./pickle.ts";
import { type PickleDict, type PickleValue, Tuple } from "./pickle_values.ts";
import { type ByteSource, openFile } from "./source.ts";
import { materialise, type TorchStorage, type TorchTensor } from "./strided.ts";
import { tensorIn, torchRules } from "./torch_tensor.ts";
import { readZip, type ZipArchive, type ZipEntry } from "./zip.ts";

/** The longest pickle that is read, in bytes; that of a large model takes less than one MB. */
const MAX_PICKLE_BYTES = 2 ** 26;
const MAX_DEPTH = 64;
const MAX_NAME = 1024;

function fail(path: string, what: string): never {
  throw new SyntaxError(`Cannot read "${path}" as a PyTorch archive: ${what}`);
}

/** Refuses the formats before PyTorch 1.6, which can only be read by running them. */
async function refuseLegacy(source: ByteSource): Promise<void> {
  const [first, second] = await source.read(0, Math.min(2, source.size));
  if (first !== 0x80 || second === undefined || second > 5) return;
  const advice = 'torch.save(torch.load("old.pth", map_location="cpu"), "new.pth") in PyTorch 1.6 or later converts it';
  fail(source.path, `it is in the format before PyTorch 1.6, must be a ZIP archive; ${advice}`);
}

/** The archive, the folder within it that everything lies in, and the value of its pickle. */
interface Saved {
  readonly zip: ZipArchive;
  readonly folder: string;
  readonly root: PickleDict;
  readonly pickleBytes: number;
}

async function readRoot(source: ByteSource): Promise<Saved> {
  const { path } = source;
  await refuseLegacy(source);
  const zip = await readZip(source);
  const pickles = [...zip.entries.values()].filter(({ name }) => /^([^/]+\/)?data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1) {
    return fail(path, `it has ${pickles.length} entries data.pkl, must have one; torch.save did not write it`);
  }
  const folder = pickle.name.slice(0, -"data.pkl".length);
  const order = zip.entries.get(`${folder}byteorder`);
  if (order !== undefined && new TextDecoder().decode(await zip.read(order)) !== "little") {
    fail(path, "its byte order is not little-endian");
  }
  if (pickle.size > MAX_PICKLE_BYTES) {
    fail(path, `its pickle has ${pickle.size} bytes, at most ${MAX_PICKLE_BYTES} are read`);
  }
  const root = unpickle(await zip.read(pickle), torchRules(path), path);
  if (!(root instanceof Map)) return fail(path, "it does not hold a dict");
  return { zip, folder, root, pickleBytes: pickle.size };
}

/** The members of a container with their keys; undefined for anything else. */
function membersOf(value: PickleValue): Iterable<[string | number, PickleValue]> | undefined {
  if (value instanceof Map) return value;
  if (value instanceof Tuple) return value.items.entries();
  return Array.isArray(value) ? value.entries() : undefined;
}

/**
 * Tensors by their keys joined with dots. A pickle can name one container many times, so the walk ends with an error once it has
 * met more values than the pickle has bytes.
 */
function flatten(root: PickleValue, pickleBytes: number, path: string): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  let met = 0;
  const walk = (value: PickleValue, name: string, depth: number): void => {
    if (++met > pickleBytes || depth > MAX_DEPTH) fail(path, "its containers contain each other too often");
    const tensor = tensorIn(value);
    if (tensor !== undefined) {
      if (name.length > MAX_NAME) fail(path, `a name has ${name.length} characters, at most ${MAX_NAME} are read`);
      if (tensors.has(name)) fail(path, `it has two tensors "${name}"`);
      tensors.set(name, tensor);
    }
    for (const [key, member] of membersOf(value) ?? []) {
      walk(member, name === "" ? `${key}` : `${name}.${key}`, depth + 1);
    }
  };
  walk(root, "", 0);
  return tensors;
}

/** Numbers and texts beside the tensors, such as the epoch. */
function scalarsOf(root: PickleDict): Map<string, string> {
  const scalars = [...root].filter(([, value]) => ["string", "number", "boolean"].includes(typeof value));
  return new Map(scalars.map(([key, value]) => [String(key), String(value)]));
}

/** Picks the dict of tensors out of what was saved. */
export type PickState = (root: PickleDict, path: string) => PickleValue;

/** Picks what lies under `key`, a dict of the outermost dict; everything without a key. */
export function pickKey(key: string | undefined): PickState {
  return (root, path) => {
    if (key === undefined) return root;
    const value = root.get(key);
    if (value instanceof Map) return value;
    return fail(path, `it has no dict "${key}"; its keys are ${[...root.keys()].slice(0, 10).join(", ")}`);
  };
}

/** Picks the state dict as training scripts nest it: the outermost dict, or its only candidate by name or by having tensors. */
export function pickStateDict(root: PickleDict, path: string): PickleValue {
  const holdsTensors = (value: PickleValue) => value instanceof Map && [...value.values()].some(tensorIn);
  if (holdsTensors(root)) return root;
  const named = ["model", "state_dict"].filter((key) => root.get(key) instanceof Map);
  const keys = named.length > 0 ? named : [...root].filter(([, value]) => holdsTensors(value)).map(([key]) => key);
  const [key] = keys;
  if (keys.length === 1 && key !== undefined) return root.get(key)!;
  const found = keys.length === 0 ? "no dict of tensors" : `several dicts of tensors (${keys.join(", ")})`;
  return fail(
    path,
    `it holds ${found}; give the key of the one to read, of ${[...root.keys()].slice(0, 10).join(", ")}`,
  );
}

/** The entry of a storage, whose length must be the one that the pickle claims. */
function storageEntry({ zip, folder }: Saved, { key, dtype, count }: TorchStorage): ZipEntry {
  const entry = zip.entries.get(`${folder}data/${key}`);
  if (entry === undefined) return fail(zip.path, `it has no entry "${folder}data/${key}"`);
  const bytes = byteLength(dtype, count);
  if (entry.size !== bytes) {
    fail(zip.path, `its entry "${entry.name}" has ${entry.size} bytes, its pickle claims ${bytes}`);
  }
  return entry;
}

/**
 * Reads the directory and the pickle of a PyTorch archive from a source; storages stay where they are.
 *
 * @param pick What part of it to take.
 * @throws {SyntaxError} When the archive or its pickle is damaged or holds anything but tensors and plain containers.
 */
export async function readPth(source: ByteSource, pick: PickState): Promise<Archive> {
  const saved = await readRoot(source);
  const held = flatten(pick(saved.root, source.path), saved.pickleBytes, source.path);
  const entries = new Map([...held].map(([name, tensor]) => [name, storageEntry(saved, tensor.storage)]));
  const infos = [...held].map(([name, { dtype, shape }]): [string, TensorInfo] => [name, { name, dtype, shape }]);
  // Views of one storage often follow each other; whole storages are handed out and not kept.
  let last: { readonly entry: ZipEntry; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;
  const storageOf = async (tensor: TorchTensor, entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>> => {
    if (byteLength(tensor.dtype, elementCount(tensor.shape)) === entry.size) return await saved.zip.read(entry);
    if (last?.entry !== entry) last = { entry, bytes: await saved.zip.read(entry) };
    return last.bytes;
  };
  const archive: Archive = {
    path: source.path,
    metadata: scalarsOf(saved.root),
    tensors: new Map(infos),
    async read(name) {
      const tensor = entryOf(held, name, source.path);
      const bytes = materialise(tensor, await storageOf(tensor, entries.get(name)!));
      return { name, dtype: tensor.dtype, shape: tensor.shape, data: viewBytes(tensor.dtype, bytes) };
    },
    close: () => source.close(),
  };
  return archive;
}

/**
 * Opens a `.pth` archive of PyTorch 1.6 or later. Nothing in it is run: it may hold tensors, parameters and plain
 * containers; any other instruction or global is refused by name. Nested containers give names joined by dots; strided views
 * come out in row-major order; numbers and texts of the outermost dict become `metadata`.
 *
 * @param options.key Reads only this member of the outermost dict, e.g. "model".
 * @throws {SyntaxError} When the file is damaged, is in the older format, or holds something else.
 */
export async function openPth(path: string, { key }: { readonly key?: string } = {}): Promise<Archive> {
  const source = await openFile(path);
  try {
    return await readPth(source, pickKey(key));
  } catch (error) {
    source.close();
    throw error;
  }
}
