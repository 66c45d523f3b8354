/**
 * Loading parameters: every one must be found with its shape, and all that was not taken is reported. (The official
 * loaders skip silently what does not fit, which once cost a user 12 points.)
 *
 * @module
 */

import type { Archive, LazyTensor, TensorInfo } from "./archive.ts";
import { type Dtype, isFloat, type NamedTensor, toFloat32 } from "./dtype.ts";
import { firstTen, type LoadReport, shown } from "./load_report.ts";
import { fillName, matchName, type NameTable, theirNames, wrapperOf } from "./names.ts";
import { albefNames } from "./names_albef.ts";
import { areGrids, resizePositionTable } from "./posembed.ts";

/** How to load. */
export interface LoadOptions {
  /** The names in the file. Default: those of ALBEF, which are ours. */
  readonly table?: NameTable;
  /** Our parameters that may be missing; `*` stands for any text. Default: none. */
  readonly allowMissing?: readonly string[];
  /** Resizes position tables (`*pos_embed`) that are for another number of patches. Default: an error. */
  readonly resizePositions?: boolean;
}

/** A report, and the tensors it speaks of, to be read one at a time. */
export interface LoadPlan {
  /** Our names, F32, in the order of the target. */
  readonly tensors: readonly LazyTensor[];
  /** What became of what. */
  readonly report: LoadReport;
}

/** A parameter and the tensors of the file that it is stacked from. */
interface Match {
  readonly name: string;
  readonly shape: readonly number[];
  readonly sources: readonly TensorInfo[];
  readonly resize: boolean;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** The shape of tensors stacked along the first axis; undefined when they do not fit on each other. */
function stackedShape(parts: readonly TensorInfo[]): readonly number[] | undefined {
  const [first, ...rest] = parts.map((part) => part.shape);
  if (first === undefined || rest.some((shape) => !sameShape(first, shape))) return undefined;
  return rest.length === 0 ? first : [first[0]! * parts.length, ...first.slice(1)];
}

/** Whether both are position tables, 1 x rows x width, that differ in their grid only. */
function isResizable(name: string, from: readonly number[], to: readonly number[]): boolean {
  const [one, rows, width] = from;
  return name.endsWith("pos_embed") && from.length === 3 && to.length === 3 && one === 1 && to[0] === 1 &&
    width === to[2] && areGrids(rows!, to[1]!);
}

/** The shape of a position table that is written as [rows, width], as our tools see it; other shapes as they are. */
function asTable(name: string, shape: readonly number[]): readonly number[] {
  return name.endsWith("pos_embed") && shape.length === 2 ? [1, ...shape] : shape;
}

/** Matches one parameter, or says what is wrong with it; undefined when the file does not have it. */
function matchParameter(
  name: string,
  shape: readonly number[],
  archive: Archive,
  table: NameTable,
  wrapper: string,
  resizePositions: boolean,
): Match | string | undefined {
  const choices = theirNames(table, name).map((names) => names.map((theirs) => wrapper + theirs));
  const choice = choices.find((names) => names.every((theirs) => archive.tensors.has(theirs)));
  if (choice === undefined) return undefined;
  const sources = choice.map((theirs) => archive.tensors.get(theirs)!);
  const odd = sources.find((source) => !isFloat(source.dtype));
  if (odd !== undefined) return `${name} is ${odd.dtype}, must be of floats`;
  const whole = stackedShape(sources), found = whole && asTable(name, whole);
  if (found === undefined) {
    return `${name} cannot be stacked from ${sources.map(({ shape }) => shown(shape)).join(", ")}`;
  }
  const resize = !sameShape(found, shape);
  if (resize && !(resizePositions && isResizable(name, found, shape))) {
    return `${name} is ${shown(found)}, must be ${shown(shape)}`;
  }
  return { name, shape, sources, resize };
}

async function readMatch({ name, shape, sources, resize }: Match, archive: Archive): Promise<NamedTensor> {
  const parts: Float32Array<ArrayBuffer>[] = [];
  for (const source of sources) parts.push(toFloat32(await archive.read(source.name)));
  let data = parts[0]!;
  if (parts.length > 1) {
    data = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.forEach((part, at) => data.set(part, at * part.length));
  }
  if (resize) data = resizePositionTable(data, shape[2]!, shape[1]!);
  return { name, dtype: "F32", shape, data };
}

/** Whether two tensors of a file are the same, bit by bit. */
async function areEqual(archive: Archive, one: string, other: string): Promise<boolean> {
  const a = await archive.read(one), b = await archive.read(other);
  if (a.dtype !== b.dtype || !sameShape(a.shape, b.shape)) return false;
  const left = new DataView(a.data.buffer, a.data.byteOffset), right = new DataView(b.data.buffer, b.data.byteOffset);
  const words = a.data.byteLength - a.data.byteLength % 4;
  for (let at = 0; at < words; at += 4) if (left.getInt32(at) !== right.getInt32(at)) return false;
  for (let at = words; at < a.data.byteLength; at++) if (left.getInt8(at) !== right.getInt8(at)) return false;
  return true;
}

/** Why a tensor of the file is not taken; undefined when it is left over. */
async function reasonToIgnore(
  theirs: string,
  archive: Archive,
  table: NameTable,
  wrapper: string,
): Promise<string | undefined> {
  const bare = theirs.slice(wrapper.length), rule = table.ignored.find((rule) => matchName(rule.theirs, bare));
  if (rule !== undefined) return rule.reason;
  for (const tied of table.tied) {
    const texts = matchName(tied.theirs, bare);
    const original = texts && wrapper + fillName(tied.equals, texts);
    if (original === undefined || !archive.tensors.has(original)) continue;
    if (await areEqual(archive, theirs, original)) return `it equals ${original}`;
    throw new RangeError(`Cannot load "${archive.path}": ${theirs} differs from ${original}, which it must equal`);
  }
  return undefined;
}

/** Fails with all that is missing or mis-shaped. */
function failOn(
  missing: readonly string[],
  faults: readonly string[],
  leftOver: readonly string[],
  title: string,
): void {
  if (missing.length + faults.length === 0) return;
  const sentences = [
    ...(missing.length > 0 ? [`${missing.length} missing: ${firstTen(missing)}`] : []),
    ...(faults.length > 0 ? [`${faults.length} that do not fit: ${firstTen(faults)}`] : []),
    ...(leftOver.length > 0 ? [`left over in the file: ${firstTen(leftOver)}`] : []),
  ];
  throw new RangeError(`${title}; ${sentences.join("; ")}`);
}

/**
 * Matches the parameters of a model with the tensors of a file. Of the file only its header is read, and tensors that
 * must equal each other.
 *
 * @param target Names and shapes of the parameters.
 * @throws {RangeError} When a parameter is missing and not allowed to be, has another shape, or when a tied copy differs.
 */
export async function planLoad(
  target: Iterable<readonly [name: string, shape: readonly number[]]>,
  archive: Archive,
  { table = albefNames(), allowMissing = [], resizePositions = false }: LoadOptions = {},
): Promise<LoadPlan> {
  const wrapper = wrapperOf(table, [...archive.tensors.keys()]);
  const matches: Match[] = [], faults: string[] = [], absent: string[] = [];
  for (const [name, shape] of target) {
    const match = matchParameter(name, shape, archive, table, wrapper, resizePositions);
    if (match === undefined) absent.push(name);
    else if (typeof match === "string") faults.push(match);
    else matches.push(match);
  }
  const used = new Set(matches.flatMap((match) => match.sources.map((source) => source.name)));
  const rest = [...archive.tensors.keys()].filter((name) => !used.has(name));
  const isAllowed = (name: string) => allowMissing.some((pattern) => matchName(pattern, name));
  const title = `Cannot load the parameters from "${archive.path}" by the names of ${table.title}`;
  failOn(absent.filter((name) => !isAllowed(name)), faults, rest, title);
  const leftOver: string[] = [], ignored: { name: string; reason: string }[] = [];
  for (const name of rest) {
    const reason = await reasonToIgnore(name, archive, table, wrapper);
    if (reason === undefined) leftOver.push(name);
    else ignored.push({ name, reason });
  }
  const resized = matches.filter((match) => match.resize).map(({ name, shape, sources }) => {
    return { name, from: sources[0]!.shape, to: shape };
  });
  const dtype: Dtype = "F32";
  return {
    tensors: matches.map((match) => {
      return { name: match.name, dtype, shape: match.shape, read: () => readMatch(match, archive) };
    }),
    report: { loaded: matches.map((match) => match.name), missing: absent, leftOver, resized, ignored },
  };
}

/**
 * Loads all parameters of a model at once; `planLoad` loads them one at a time.
 *
 * @param target Names and shapes of the parameters.
 * @returns Elements by our names, in the order of the target, and the report.
 * @throws {RangeError} As `planLoad`.
 */
export async function loadParameters(
  target: Iterable<readonly [name: string, shape: readonly number[]]>,
  archive: Archive,
  options: LoadOptions = {},
): Promise<{ tensors: Map<string, NamedTensor>; report: LoadReport }> {
  const plan = await planLoad(target, archive, options);
  const tensors = new Map<string, NamedTensor>();
  for (const tensor of plan.tensors) tensors.set(tensor.name, await tensor.read());
  return { tensors, report: plan.report };
}
