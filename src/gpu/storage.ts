/**
 * GPU memory of values that outlive a program's run: results, parameters, uploaded data. Memory of values that JavaScript no
 * longer refers to is used again.
 *
 * @module
 */
import type { Device } from "./device.ts";
import { MAP_MODE_READ, READ_BACK_USAGE, VALUE_USAGE } from "./usage.ts";

/** The memory of one value. */
export class Storage {
  #gone: "donated" | "disposed" | undefined;
  /** Use {@linkcode toDevice}. */
  constructor(readonly device: Device, readonly buffer: GPUBuffer, readonly bytes: number) {}

  /** Why it must not be used any more: its memory went to the result of a later call (see `donate`), or was given back. */
  get gone(): "donated" | "disposed" | undefined {
    return this.#gone;
  }

  /** Hands the memory to another storage; this one must not be used any more. */
  handOver(): Storage {
    this.#leave("donated");
    return watch(new Storage(this.device, this.buffer, this.bytes));
  }

  /** Gives the memory back now instead of when the value is garbage. */
  release(): void {
    if (this.#gone) return;
    this.#leave("disposed");
    recycle(this);
  }

  #leave(why: "donated" | "disposed"): void {
    this.#gone = why;
    collector.unregister(this);
  }
}

/** Free memory by the class of its size, the class that was freed to longest ago first. */
interface Pool {
  readonly byClass: Map<number, GPUBuffer[]>;
  bytes: number;
}

/** Free memory that is kept for later values; beyond it that of the class freed to longest ago is destroyed. */
const KEPT_FREE = 256 * 2 ** 20;

const pools = new WeakMap<Device, Pool>();
const collector = new FinalizationRegistry<{ device: Device; buffer: GPUBuffer }>((dead) => {
  reported++;
  recycle(dead);
});

function poolOf(device: Device): Pool {
  let pool = pools.get(device);
  if (!pool) pools.set(device, pool = { byClass: new Map(), bytes: 0 });
  return pool;
}

/** Sizes of one class differ by at most an eighth: there are eight from each power of two to the next. */
function classOf(size: number): number {
  const power = Math.floor(Math.log2(size));
  return 8 * power + Math.floor(8 * (size / 2 ** power - 1));
}

function recycle({ device, buffer }: { device: Device; buffer: GPUBuffer }): void {
  const pool = poolOf(device), own = classOf(buffer.size), free = pool.byClass.get(own) ?? [];
  free.push(buffer);
  pool.byClass.delete(own); // set again, so that this class comes last
  pool.byClass.set(own, free);
  pool.bytes += buffer.size;
  while (pool.bytes > KEPT_FREE) {
    const [oldest] = pool.byClass.keys();
    device.destroyBuffer(takeFrom(pool, oldest!, 0)!);
  }
}

/** A free buffer of a class that holds `size` bytes. */
function takeFrom(pool: Pool, ofClass: number, size: number): GPUBuffer | undefined {
  const free = pool.byClass.get(ofClass), at = free?.findLastIndex((b) => b.size >= size) ?? -1;
  if (at < 0) return undefined;
  const [buffer] = free!.splice(at, 1);
  if (!free!.length) pool.byClass.delete(ofClass);
  pool.bytes -= buffer!.size;
  return buffer;
}

/** A free buffer of at least `size` bytes, and at most a quarter more: so that values of changing sizes share memory. */
function takeFree(pool: Pool, size: number): GPUBuffer | undefined {
  const own = classOf(size);
  return takeFrom(pool, own, size) ?? takeFrom(pool, own + 1, size);
}

function watch(storage: Storage): Storage {
  collector.register(storage, { device: storage.device, buffer: storage.buffer }, storage);
  return storage;
}

/** Bytes given out since garbage was last asked for; values are small in JavaScript, so its collector would not hurry. */
let sinceCollection = 0;
const COLLECT_AFTER = 256 * 2 ** 20;
/** What a value counts as at least: each has a buffer, whatever its size. */
const LEAST_COUNTED = 2 ** 18;
/** Dead storages that the collector has reported. */
let reported = 0;

/** Lets the garbage collector run; it may take two turns of the event loop. */
async function collectGarbage(): Promise<void> {
  const before = reported;
  for (let turn = 0; turn < 2 && reported === before; turn++) {
    new ArrayBuffer(2 ** 26); // counts as pressure on the collector,
    await new Promise((resolve) => setTimeout(resolve)); // which reports dead storages in a turn of the event loop
  }
}

/** Memory for a value, from what is free or new. */
export async function allocate(device: Device, bytes: number, purpose: string): Promise<Storage> {
  const size = Math.max(4, Math.ceil(bytes / 4) * 4);
  sinceCollection += Math.max(size, LEAST_COUNTED);
  if (sinceCollection > COLLECT_AFTER) {
    sinceCollection = 0;
    await collectGarbage();
  }
  const buffer = takeFree(poolOf(device), size) ?? await device.createBuffer(size, VALUE_USAGE, purpose);
  return watch(new Storage(device, buffer, size));
}

/** Memory holding `data`. */
export async function upload(device: Device, data: ArrayBufferView, purpose: string): Promise<Storage> {
  const storage = await allocate(device, data.byteLength, purpose);
  writeWords(device, storage.buffer, data);
  return storage;
}

/** Writes host data to the start of a buffer, padded to whole words. */
export function writeWords(device: Device, buffer: GPUBuffer, data: ArrayBufferView): void {
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  if (bytes.byteLength % 4 === 0) return device.gpu.queue.writeBuffer(buffer, 0, bytes);
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  padded.set(bytes);
  device.gpu.queue.writeBuffer(buffer, 0, padded);
}

/** Copies of several ranges to the host, with one wait for all of them. */
export async function readBack(
  device: Device,
  ranges: readonly { buffer: GPUBuffer; bytes: number }[],
): Promise<ArrayBuffer[]> {
  device.check();
  const offsets: number[] = [];
  let size = 0;
  for (const { bytes } of ranges) {
    offsets.push(size);
    size += Math.ceil(bytes / 8) * 8;
  }
  const staging = await device.createBuffer(Math.max(8, size), READ_BACK_USAGE, "reading back");
  try {
    const encoder = device.gpu.createCommandEncoder();
    ranges.forEach((r, i) => encoder.copyBufferToBuffer(r.buffer, 0, staging, offsets[i]!, Math.ceil(r.bytes / 4) * 4));
    device.gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_MODE_READ);
    const mapped = staging.getMappedRange();
    return ranges.map(({ bytes }, i) => mapped.slice(offsets[i]!, offsets[i]! + bytes));
  } catch (error) {
    return await device.explain(error);
  } finally {
    device.destroyBuffer(staging);
  }
}
