/**
 * Checkpoints: one safetensors file with parameters (official names), moments and extra state, and one JSON file that is
 * written after it and makes it valid. Both are written atomically; a run continues from the last pair that is whole.
 *
 * @module
 */
import type { LazyTensor } from "../io/archive.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { DiskError, diskError } from "../io/disk_error.ts";
import { fileNames, makeFolder, removeIfThere, sha256IfThere, textIfThere } from "../io/files.ts";
import type { Dtype, NamedTensor } from "../io/dtype.ts";
import { openSafetensors, writeSafetensors } from "../io/safetensors.ts";
import type { SpecTree } from "../nn/spec.ts";
import { compareSettings, type SettingsRecord } from "../settings/record.ts";
import type { ParameterLayout, ParameterPlace } from "../optim/layout.ts";
import { tensor, toHost } from "../program/compile.ts";
import { type HostArray, sizeOf, type Tensor } from "../program/graph.ts";
import { entries, mapTree, type Tree } from "../program/tree.ts";
import { isRunDevice, type RunDevice } from "./same_device.ts";
import type { TrainState } from "./step.ts";
import type { Setting, Settings } from "./task.ts";

/** What a checkpoint says beside its tensors. */
export interface CheckpointRecord {
  readonly format: "gritstone-checkpoint-1";
  readonly settings: Settings;
  /** What the run computes with; earlier versions did not keep it. */
  readonly device?: RunDevice;
  readonly counters: Counters;
  /** Parts that the task saved, base64. */
  readonly parts: Readonly<Record<string, string>>;
  readonly tensors: { readonly file: string; readonly sha256: string };
}

/** How far a run has come. */
export interface Counters {
  /** Optimizer steps done. */
  step: number;
  examples: number;
  /** Sum of the losses of the first steps, a tenth of all steps at most, and how many they are. */
  firstLosses: number;
  firstSteps: number;
  /** Losses of the latest steps, a tenth of all steps at most. */
  lastLosses: number[];
}

const dtypes: Record<Tensor["dtype"], Dtype> = { f32: "F32", i32: "I32", u32: "U32", f16: "F16" };

/** Where a checkpoint is. */
export interface SavedCheckpoint {
  /** The safetensors file. */
  readonly path: string;
  /** Of that file, hexadecimal. */
  readonly sha256: string;
}

/**
 * Writes a checkpoint into `dir` and keeps it and the `keep - 1` before it. Later ones go too: this run has continued from
 * before them.
 *
 * @throws {DiskError} If the disk fails; the checkpoints before stay as they are, and none is left that is not whole.
 */
export async function saveCheckpoint<S extends SpecTree, X extends Tree>(
  dir: string,
  state: TrainState<X>,
  layout: ParameterLayout<S>,
  record: Omit<CheckpointRecord, "format" | "tensors">,
  keep = 2,
): Promise<SavedCheckpoint> {
  const file = `${nameOf(record.counters.step)}.safetensors`, path = `${dir}/${file}`;
  try {
    await makeFolder(dir);
    await writeSafetensors(path, tensorsOf(state, layout), { format: "pt", step: String(record.counters.step) });
    const sha256 = await sha256IfThere(path);
    if (sha256 === undefined) throw new DiskError(`Cannot write "${path}": it is gone again`);
    const full: CheckpointRecord = { format: "gritstone-checkpoint-1", ...record, tensors: { file, sha256 } };
    await writeFileAtomic(recordOf(path), JSON.stringify(full, null, 1) + "\n");
    const all = await listCheckpoints(dir, /\.(json|safetensors)$/), at = all.indexOf(file.replace(/\..*/, ""));
    for (const [i, name] of all.entries()) if (i > at || i <= at - keep) await removeCheckpoint(dir, name);
    return { path, sha256 };
  } catch (error) {
    await removeHalf(path);
    throw (error as { code?: string }).code === undefined ? error : diskError(`save "${path}"`, error);
  }
}

function nameOf(step: number): string {
  return `step-${String(step).padStart(8, "0")}`;
}

/** The file that makes a checkpoint valid. */
function recordOf(path: string): string {
  return path.replace(/safetensors$/, "json");
}

/** Removes tensors that no record makes valid: on a full disk they would take the place of what comes next. */
async function removeHalf(path: string): Promise<void> {
  try {
    if (await textIfThere(recordOf(path)) === undefined) await removeIfThere(path);
  } catch { /* it fails as what came before did, which is what is told */ }
}

/** Names of the checkpoints of a folder without ending, oldest first: those that are whole, or all that have a file of that ending. */
export async function listCheckpoints(dir: string, ending = /\.json$/): Promise<string[]> {
  const names = (await fileNames(dir)).filter((name) => /^step-\d+\.\w+$/.test(name) && ending.test(name));
  return [...new Set(names.map((name) => name.replace(/\..*/, "")))];
}

/** Removes both files of a checkpoint; first the one that makes it valid. */
export async function removeCheckpoint(dir: string, name: string): Promise<void> {
  for (const ending of ["json", "safetensors"]) await removeIfThere(`${dir}/${name}.${ending}`);
}

/** All tensors of a state, buffer by buffer, so that each is read back once and one at a time. The names are the file format's. */
function tensorsOf<S extends SpecTree, X extends Tree>(state: TrainState<X>, layout: ParameterLayout<S>): LazyTensor[] {
  const { optimizer: { values, mu, nu }, frozen } = state;
  const groups = [["", values, false], ["", frozen, true], ["optimizer.first.", mu, false], [
    "optimizer.second.",
    nu,
    false,
  ]] as const;
  const flat = groups.flatMap(([prefix, flats, isFrozen]) =>
    flats.flatMap((whole, buffer) => {
      const places = [...layout.places.values()].filter((p) => p.frozen === isFrozen && p.buffer === buffer);
      return partsOf(whole, places, prefix);
    })
  );
  const extra = entries(state.extra, "extra").map(([name, t]): LazyTensor => ({
    name,
    dtype: dtypes[t.dtype],
    shape: t.shape,
    read: async () => named(name, dtypes[t.dtype], t.shape, await toHost(t)),
  }));
  return [...flat, ...extra];
}

/** The parameters of one buffer; it is read back with the first of them and forgotten with the last. */
function partsOf(whole: Tensor, places: readonly ParameterPlace[], prefix: string): LazyTensor[] {
  let host: Promise<HostArray> | undefined;
  return places.map(({ name, shape, offset }, i): LazyTensor => ({
    name: prefix + name,
    dtype: "F32",
    shape,
    read: async () => {
      const values = await (host ??= toHost(whole));
      if (i === places.length - 1) host = undefined;
      return named(prefix + name, "F32", shape, values.slice(offset, offset + sizeOf(shape)));
    },
  }));
}

function named(name: string, dtype: Dtype, shape: readonly number[], values: HostArray): NamedTensor {
  return { name, dtype, shape, data: values as NamedTensor["data"] };
}

/** A checkpoint read from disk: the record and the state's tensors on the host. */
export interface LoadedCheckpoint<X extends Tree> {
  readonly record: CheckpointRecord;
  readonly path: string;
  readonly values: readonly Float32Array[];
  readonly frozen: readonly Float32Array[];
  readonly mu: readonly Float32Array[];
  readonly nu: readonly Float32Array[];
  readonly extra: X;
}

/** The newest checkpoint of a folder (or the one whose JSON or safetensors file is named), checked against `settings`. */
export async function loadCheckpoint<S extends SpecTree, X extends Tree>(
  where: string,
  layout: ParameterLayout<S>,
  extra: X,
  settings: RunSettings,
): Promise<LoadedCheckpoint<X>> {
  const json = await findRecord(where);
  const record = parseRecord(await textIfThere(json) ?? missing(json), json);
  checkSteps(record, settings, json);
  compareRuns(record.settings, settings, json);
  const path = json.slice(0, json.lastIndexOf("/") + 1) + record.tensors.file;
  if ((await sha256IfThere(path) ?? missing(path)) !== record.tensors.sha256) {
    throw new Error(
      `Cannot resume from "${path}": its SHA-256 is not the one that "${json}" states; the file was changed or is damaged`,
    );
  }
  return { record, path, ...taken(await readAll(path), path, layout, extra) };
}

async function readAll(path: string): Promise<Map<string, NamedTensor>> {
  const archive = await openSafetensors(path), values = new Map<string, NamedTensor>();
  try {
    for (const name of archive.tensors.keys()) values.set(name, await archive.read(name));
    return values;
  } finally {
    archive.close();
  }
}

/** The tensors of a checkpoint, each at its place; all must have one. */
function taken<S extends SpecTree, X extends Tree>(
  tensors: Map<string, NamedTensor>,
  path: string,
  layout: ParameterLayout<S>,
  extra: X,
): Omit<LoadedCheckpoint<X>, "record" | "path"> {
  const take = (name: string, shape: readonly number[]): HostArray => {
    const value = tensors.get(name);
    if (!value) throw new Error(`Cannot resume from "${path}": it has no tensor "${name}"`);
    if (String(value.shape) !== String(shape)) {
      throw new RangeError(`Cannot resume from "${path}": "${name}" must be [${shape}]: it is [${value.shape}]`);
    }
    tensors.delete(name);
    return value.data as HostArray;
  };
  const flats = (prefix: string, kind: "trained" | "frozen" = "trained"): Float32Array[] =>
    layout.packHost((name, shape) => take(prefix + name, shape) as Float32Array, kind);
  const state = {
    values: flats(""),
    frozen: flats("", "frozen"),
    mu: flats("optimizer.first."),
    nu: flats("optimizer.second."),
    extra: mapTree(
      extra,
      (t, name) => tensor(take(name ? `extra.${name}` : "extra", t.shape), t.shape, t.dtype, { copy: false }),
    ),
  };
  const [left] = tensors.keys();
  if (left === undefined) return state;
  throw new Error(`Cannot resume from "${path}": it has the tensor "${left}", which this run has not`);
}

function missing(path: string): never {
  throw new Error(`Cannot resume from "${path}": there is no such file`);
}

async function findRecord(where: string): Promise<string> {
  if (/\.(json|safetensors)$/.test(where)) return recordOf(where);
  const names = await listCheckpoints(where);
  if (!names.length) throw new Error(`Cannot resume from "${where}": the folder has no checkpoint (step-*.json)`);
  return `${where}/${names.at(-1)}.json`;
}

function parseRecord(text: string, path: string): CheckpointRecord {
  const fail = (reason: string): never => {
    throw new SyntaxError(`Cannot resume from "${path}": ${reason}`);
  };
  let record: Partial<CheckpointRecord>;
  try {
    record = JSON.parse(text) ?? {};
  } catch {
    return fail("it is not JSON");
  }
  const { format, settings, device, counters, parts, tensors } = record;
  if (format !== "gritstone-checkpoint-1") {
    fail(`"format" must be "gritstone-checkpoint-1": it is ${JSON.stringify(format)}`);
  }
  const isRecord = (x: unknown): boolean => typeof x === "object" && x !== null;
  const counts = isRecord(counters) && Array.isArray(counters!.lastLosses) &&
    [counters!.step, counters!.examples, counters!.firstLosses].every((n) => Number.isFinite(n));
  const file = typeof tensors?.sha256 === "string" && /^step-\d+\.safetensors$/.test(tensors.file);
  if (!isRecord(settings) || !isRecord(parts) || !counts || !file) {
    fail(`it must have "settings", "counters", "parts" and "tensors" (file, sha256)`);
  }
  if (device !== undefined && !isRunDevice(device)) fail(`"device" must have "adapter", "avoid" and "products"`);
  const { trainer } = settings as Settings & { trainer?: { steps?: number } };
  // Earlier versions left it out: a run that is not extended has a tenth of its steps.
  const firstSteps = Math.min(counters!.step, tenthOf(trainer?.steps ?? 0));
  return { ...record, counters: { ...counters!, firstSteps: counters!.firstSteps ?? firstSteps } } as CheckpointRecord;
}

/** Steps whose losses are the first, and the last, of a run. */
export function tenthOf(steps: number): number {
  return Math.max(1, Math.floor(steps / 10));
}

/** Throws if a run must not go on with another number of steps than it began with. */
function checkSteps({ settings, counters }: CheckpointRecord, now: RunSettings, path: string): void {
  const was = (settings as Partial<RunSettings>).trainer?.steps, is = now.trainer.steps;
  if (was === is || was === undefined) return;
  const refuse = (why: string): never => {
    throw new Error(`Cannot resume from "${path}": "steps" was ${was} and is ${is} now; ${why}`);
  };
  if (Number(is) < counters.step) refuse(`${counters.step} steps are done, so it must be at least that`);
  if (now.extendable) return;
  refuse(
    `the learning rate falls over the number of steps, so the steps that are done would have had another one: use the old value, ` +
      `or start a new run from the parameters, in another folder (--init "${
        path.replace(/json$/, "safetensors")
      }" --out ...); ` +
      `a schedule by epochs (--schedule official) can be extended`,
  );
}

/** What must be the same when a run continues: the settings of the program by its flags, those of the task and of the trainer. */
export type RunSettings = {
  readonly flags: SettingsRecord;
  readonly task: Settings;
  readonly trainer: Settings;
  /** Whether the number of steps may be another one. */
  readonly extendable: boolean;
};

/** Flags that say how long a run is: earlier versions kept them, the trainer's number of steps says the same. */
const LENGTH_FLAGS = ["epochs", "steps"];

/**
 * Throws for the first setting that differs: which one, and both values.
 *
 * @throws {Error} If one does.
 */
export function compareRuns(saved: Settings, now: RunSettings, path: string): void {
  const { flags = {}, task = {}, trainer = {} } = saved as Partial<RunSettings>;
  const kept = Object.entries(flags).filter(([name]) => Object.hasOwn(now.flags, name) || !LENGTH_FLAGS.includes(name));
  const before = now.extendable ? { ...trainer, steps: now.trainer.steps! } : trainer;
  const difference = compareSettings(Object.fromEntries(kept), now.flags) ??
    firstDifference(task, now.task, "task.") ?? firstDifference(before, now.trainer, "");
  if (difference === undefined) return;
  throw new Error(
    `Cannot resume from "${path}": ${difference}; use the old value, or start a new run in another folder (--out)`,
  );
}

function firstDifference(saved: Settings, now: Settings, prefix: string): string | undefined {
  for (const name of new Set([...Object.keys(saved), ...Object.keys(now)])) {
    const [a, b] = [saved[name], now[name]], full = `${prefix}${name}`;
    if (isNested(a) && isNested(b)) {
      const inside = firstDifference(a, b, `${full}.`);
      if (inside) return inside;
    } else if (a !== b) {
      const [was, is] = [a, b].map((value) => JSON.stringify(value) ?? "not set");
      return `"${full}" was ${was} and is ${is} now`;
    }
  }
}

function isNested(value: Setting | undefined): value is Settings {
  return typeof value === "object" && value !== null;
}
