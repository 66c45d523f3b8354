/**
 * Functions that are traced once and replayed, and values that are computed when they are asked for.
 *
 * @module
 */
import { defaultDevice, type Device } from "../gpu/device.ts";
import { checkOptions } from "./options.ts";
import { readBack, upload } from "../gpu/storage.ts";
import { type Aval, disposedError, type DType, type HostArray, type Node, sameShape, sizeOf, Tensor } from "./graph.ts";
import { ProgramCache, type Traced } from "./_program_cache.ts";
import { forgetInputs } from "./fuse.ts";
import { fromNumbers, hostArrays, naturalType, type NestedNumbers, shapeOf } from "./host_array.ts";
import { type CompileProgress, type KernelTime, placeholder, Program } from "./program.ts";
import { staticKey } from "./static_key.ts";
import { entries, fromLeaves, leaves, mapTree, programKey, type Tree } from "./tree.ts";

/** Options of {@linkcode tensor}. */
export interface TensorOptions {
  /**
   * Whether a typed array is copied, so that later writes to it do not reach the tensor. Default true; with false the tensor owns
   * the array, and nobody may write to it any more.
   */
  readonly copy?: boolean;
}

/**
 * A tensor from host data: a number, nested lists or a typed array with its shape. Numbers are converted to `dtype` (integers
 * towards zero, f16 to the nearest); a `Uint16Array` holds the bits of f16. It moves to the GPU when it is used.
 *
 * @throws {RangeError} if the shape does not fit, lists are uneven, or an integer type does not hold a number.
 * @throws {TypeError} if a typed array is not that of `dtype`, or an element is no number.
 */
export function tensor(
  data: NestedNumbers | HostArray,
  shape?: readonly number[],
  dtype?: DType,
  options: TensorOptions = {},
): Tensor {
  const { copy = true } = checkOptions("tensor", options, { copy: "one" });
  const type = dtype ?? naturalType(data), typed = ArrayBuffer.isView(data) ? data : undefined;
  if (typed && !(typed instanceof hostArrays[type])) {
    throw new TypeError(
      `Cannot make a tensor: ${type} data must be a ${hostArrays[type].name}: it is a ${typed.constructor.name}`,
    );
  }
  const full = shape ?? (typed ? [typed.length] : shapeOf(data as NestedNumbers));
  const host = !typed ? fromNumbers(data as NestedNumbers, type) : copy ? typed.slice() : typed;
  if (host.length !== sizeOf(full)) {
    throw new RangeError(
      `Cannot make a tensor of shape [${full}]: it needs ${sizeOf(full)} elements: there are ${host.length}`,
    );
  }
  const t = placeholder({ shape: full, dtype: type });
  t.node.host = host;
  return t;
}

/**
 * A tensor whose values are made when they are needed, if ever: what is large and costly, where its shape may be all that is asked for.
 *
 * @param make Must give as many values as the shape has, always the same ones, in an array that nobody writes to any more.
 */
export function lazyTensor(shape: readonly number[], dtype: DType, make: () => HostArray): Tensor {
  const t = placeholder({ shape, dtype });
  t.node.host = make;
  return t;
}

/** Options of {@linkcode compile}. */
export interface CompileOptions {
  /** Numbers of the arguments whose memory the results may take over; those arguments must not be used afterwards. */
  readonly donate?: readonly number[];
  /**
   * Numbers of the arguments that are no tensors but values that the function is traced for: numbers, strings, booleans, functions, lists
   * and records of these. Every other value of them makes another program, which is kept.
   */
  readonly static?: readonly number[];
  /** Told of each kernel as it is compiled on the first call. */
  readonly progress?: CompileProgress;
  /** The device to run on; otherwise the one that is the default at the time of a call. */
  readonly device?: Device;
}

/** A function that runs as a replayed program. */
export interface Compiled<A extends readonly unknown[], R extends Tree> {
  (...args: A): Promise<R>;
  /** The program for arguments of these shapes, as text or for its memory, without running it. */
  program(...args: A): Promise<Program>;
  /** A call like any other, with the times of its kernels (needs an adapter with time stamps). */
  profile(...args: A): Promise<{ result: R; times: KernelTime[] }>;
  /** Frees the memory of all programs of this function. */
  destroy(): void;
}

/**
 * Traces `fn` once per device and structure of its arguments and replays the program afterwards: no graph, no allocation, one
 * submit. The programs of the last 128 structures are kept. `fn` sees tensors without values, must be a pure function of them, and
 * returns tensors in records and lists. Arguments may be on the host, on the device that runs the program (those on another one are
 * refused), or still to be computed.
 *
 * Arguments that `static` lists are passed to `fn` as they are, and it is traced anew for each of their values.
 *
 * @throws {RangeError} if `donate` or `static` lists something that is no argument.
 */
export function compile<A extends readonly Tree[], R extends Tree>(
  fn: (...args: A) => R,
  options?: CompileOptions,
): Compiled<A, R>;
/** Traces `fn` once per device, structure of its arguments and value of its static arguments. */
export function compile<A extends readonly unknown[], R extends Tree>(
  fn: (...args: A) => R,
  options: CompileOptions & { readonly static: readonly number[] },
): Compiled<A, R>;
export function compile<A extends readonly unknown[], R extends Tree>(
  fn: (...args: A) => R,
  options: CompileOptions = {},
): Compiled<A, R> {
  const kinds = { donate: "list", static: "list", progress: "one", device: "one" } as const;
  const { donate = [] } = checkOptions("compile", options, kinds), constant = new Set(options.static);
  checkNumbers("donate", donate);
  checkNumbers("static", [...constant]);
  const both = donate.find((i) => constant.has(i));
  if (both !== undefined) {
    throw new RangeError(`Cannot compile: argument ${both} must be static or donated: it is listed as both`);
  }
  const tensorsOf = (args: A): Tensor[] => args.flatMap((arg, i) => constant.has(i) ? [] : leaves(arg as Tree));
  const keyOf = (arg: unknown, i: number): string =>
    constant.has(i) ? staticKey(arg, String(i)) : programKey(arg as Tree);
  const cache = new ProgramCache<R>();
  const use = async <T>(args: A, body: (traced: Traced<R>) => Promise<T>): Promise<T> => {
    const key = args.map(keyOf).join("|"), device = options.device ?? await defaultDevice();
    return await cache.use(device, key, () => trace(fn, args, donate, constant, device), body);
  };
  const useReady = <T>(args: A, body: (traced: Traced<R>, tensors: Tensor[]) => Promise<T>): Promise<T> =>
    use(args, async (traced) => {
      const { program } = traced, tensors = tensorsOf(args);
      await evaluateOn(tensors, () => Promise.resolve(program.device));
      checkDonation(args, donate, constant);
      await program.build(options.progress);
      return await body(traced, tensors);
    });
  const call = (...args: A): Promise<R> =>
    useReady(args, async ({ program, result }, tensors) => fromLeaves(result, await program.run(tensors)));
  const profile = (...args: A): Promise<{ result: R; times: KernelTime[] }> =>
    useReady(args, async ({ program, result }, tensors) => {
      const { results, times } = await program.profile(tensors);
      return { result: fromLeaves(result, results), times };
    });
  return Object.assign(call, {
    program: (...args: A) => use(args, ({ program }) => Promise.resolve(program)),
    profile,
    destroy: () => cache.clear(),
  });
}

function checkNumbers(option: string, numbers: readonly number[]): void {
  if (numbers.every((i) => Number.isInteger(i) && i >= 0)) return;
  throw new RangeError(`Cannot compile: ${option} must list numbers of arguments, from 0 on: it is [${numbers}]`);
}

function trace<A extends readonly unknown[], R extends Tree>(
  fn: (...args: A) => R,
  args: A,
  donate: readonly number[],
  constant: ReadonlySet<number>,
  device: Device,
): Traced<R> {
  const missing = donate.find((i) => i >= args.length);
  if (missing !== undefined) {
    throw new RangeError(
      `Cannot donate argument ${missing}: there are ${args.length} arguments, the first is number 0`,
    );
  }
  const traced = args.map((arg, i) => constant.has(i) ? arg : mapTree(arg as Tree, (leaf: Aval) => placeholder(leaf)));
  const result = fn(...traced as unknown as A);
  const donated = donate.flatMap((i) => leaves(traced[i] as Tree));
  const parameters = traced.flatMap((arg, i) => constant.has(i) ? [] : leaves(arg as Tree));
  return { program: new Program(device, parameters, leaves(result), donated), result };
}

function checkDonation(args: readonly unknown[], donate: readonly number[], constant: ReadonlySet<number>): void {
  const seen = new Map<unknown, string>();
  args.forEach((arg, i) => {
    if (constant.has(i)) return;
    for (const [path, leaf] of entries(arg as Tree, String(i))) {
      const storage = leaf.node.storage[leaf.index];
      if (!storage) continue;
      const other = seen.get(storage);
      if (other !== undefined && (donate.includes(i) || donate.includes(Number(other.split(".")[0])))) {
        throw new Error(
          `Cannot donate argument ${path}: argument ${other} uses the same memory; pass separate tensors`,
        );
      }
      seen.set(storage, path);
    }
  });
}

/**
 * Computes tensors (made by ops outside of `compile`) as one program, and keeps the values: on the device where the values are
 * that they are computed from, on the default one if these are on the host.
 */
export async function evaluate<T extends Tree>(tree: T): Promise<T> {
  await evaluateOn(tree, defaultDevice);
  return tree;
}

/** As {@linkcode evaluate}, with another device for what is computed from host values alone. */
async function evaluateOn(tree: Tree, other: () => Promise<Device>): Promise<void> {
  const all = leaves(tree), disposed = all.find((t) => t.isDisposed);
  if (disposed) throw disposedError(disposed);
  const pending = [...new Set(all)].filter((t) => !t.node.storage[t.index] && !t.node.host);
  if (!pending.length) return;
  const apart = sourceDevices(pending).size > 1 ? pending.map((t) => [t]) : [pending];
  for (const tensors of apart) {
    const [device = await other()] = sourceDevices(tensors);
    const program = new Program(device, [], tensors);
    try {
      const values = await program.run([]);
      tensors.forEach((t, i) => t.node.storage[t.index] = values[i]!.node.storage[0]);
    } finally {
      program.destroy();
    }
    for (const { node } of tensors) forgetInputs(node);
  }
}

/** The devices of the values that `tensors` are computed from, without those that are on the host too. */
function sourceDevices(tensors: readonly Tensor[]): Set<Device> {
  const devices = new Set<Device>(), seen = new Set<Node>(), stack = [...tensors];
  while (stack.length) {
    const { node, index } = stack.pop()!, storage = node.storage[index];
    if (storage && !node.host) devices.add(storage.device);
    if (storage || node.host || seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs);
  }
  return devices;
}

/**
 * Moves tensors to the GPU, so that they are not sent again with every call: values on the host, and values on another device
 * than `device` (default: the default one), which leave that device.
 */
export async function toDevice<T extends Tree>(tree: T, device?: Device): Promise<T> {
  const target = device ?? await defaultDevice();
  await evaluateOn(tree, () => Promise.resolve(target));
  const away = [...new Set(leaves(tree))].filter((t) => t.node.storage[t.index]?.device !== target);
  const values = await readAll(away);
  for (const [i, t] of away.entries()) t.node.storage[t.index] = await upload(target, values[i]!, `${t}`);
  return tree;
}

/**
 * The values of a tensor on the host, or of several with one wait for all of them. Each wait costs some 10 ms: ask seldom, ask for
 * many. Values are read from the device that they are on.
 *
 * @throws {Error} If the memory of one was donated to a later call.
 */
export function toHost(tensor: Tensor): Promise<HostArray>;
/** The values of several tensors, in their order. */
export function toHost(tensors: readonly Tensor[]): Promise<HostArray[]>;
export async function toHost(tensors: Tensor | readonly Tensor[]): Promise<HostArray | HostArray[]> {
  const given = tensors instanceof Tensor ? [tensors] : tensors, values = await readAll(given);
  const own = values.map((v, i) => v === given[i]!.node.host ? v.slice() : v); // tensors do not change
  return tensors instanceof Tensor ? own[0]! : own;
}

/** As {@linkcode toHost}, but the arrays that tensors were made of, and not copies of them. */
async function readAll(tensors: readonly Tensor[]): Promise<HostArray[]> {
  await evaluate(tensors as Tensor[]);
  const storages = tensors.map((t) => t.node.storage[t.index]);
  const refuse = (gone: Tensor | undefined): void => {
    if (gone?.isDisposed) throw disposedError(gone);
    if (gone) throw new Error(`Cannot read a ${gone}: its memory was donated to a later call`);
  };
  refuse(tensors.find((_, i) => storages[i]?.gone));
  const values = tensors.map((t) => t.node.host!);
  for (const device of new Set(storages.flatMap((s) => s?.device ?? []))) {
    const own = [...tensors.keys()].filter((i) => storages[i]?.device === device);
    const ranges = own.map((i) => ({ buffer: storages[i]!.buffer, bytes: hostBytes(tensors[i]!) }));
    const parts = await readBack(device, ranges);
    refuse(tensors.find((_, i) => storages[i]?.gone)); // while it was read, which nobody awaited
    own.forEach((i, k) => values[i] = new hostArrays[tensors[i]!.dtype](parts[k]!));
  }
  return values;
}

/** Bytes of a tensor's values in a host array. */
function hostBytes({ size, dtype }: Tensor): number {
  return size * hostArrays[dtype].BYTES_PER_ELEMENT;
}

/** The value of a scalar. */
export async function item(t: Tensor): Promise<number> {
  if (!sameShape(t.shape, []) && t.size !== 1) {
    throw new RangeError(`Cannot take the value of a ${t}: it must hold 1 element`);
  }
  return (await toHost(t))[0]!;
}
