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
  #gone = false;
  /** Use {@linkcode toDevice}. */
  constructor(readonly device: Device, readonly buffer: GPUBuffer, readonly bytes: number) {}

  /** Whether the memory was handed to the result of a later call (see `donate`). */
  get donated(): boolean {
    return this.#gone;
  }

  /** Hands the memory to another storage; this one must not be used any more. */
  handOver(): Storage {
    this.#gone = true;
    collector.unregister(this);
    return watch(new Storage(this.device, this.buffer, this.bytes));
  }

  /** Gives the memory back now instead of when the value is garbage. */
  release(): void {
    if (this.#gone) return;
    this.#gone = true;
    collector.unregister(this);
    recycle(this);
  }
}

/** Free memory by its size, the size that was freed longest ago first. */
interface Pool {
  readonly bySize: Map<number, GPUBuffer[]>;
  bytes: number;
}

/** Free memory that is kept for later values; beyond it those of the size freed longest ago are destroyed. */
const KEPT_FREE = 256 * 2 ** 20;

const pools = new WeakMap<Device, Pool>();
const collector = new FinalizationRegistry<{ device: Device; buffer: GPUBuffer }>(recycle);

function poolOf(device: Device): Pool {
  let pool = pools.get(device);
  if (!pool) pools.set(device, pool = { bySize: new Map(), bytes: 0 });
  return pool;
}

function recycle({ device, buffer }: { device: Device; buffer: GPUBuffer }): void {
  const pool = poolOf(device), free = pool.bySize.get(buffer.size) ?? [];
  free.push(buffer);
  pool.bySize.delete(buffer.size); // set again, so that this size comes last
  pool.bySize.set(buffer.size, free);
  pool.bytes += buffer.size;
  while (pool.bytes > KEPT_FREE) {
    const [oldest] = pool.bySize.keys();
    device.destroyBuffer(takeFree(pool, oldest!)!);
  }
}

function takeFree(pool: Pool, size: number): GPUBuffer | undefined {
  const free = pool.bySize.get(size), buffer = free?.pop();
  if (!free || !buffer) return undefined;
  if (!free.length) pool.bySize.delete(size);
  pool.bytes -= size;
  return buffer;
}

function watch(storage: Storage): Storage {
  collector.register(storage, { device: storage.device, buffer: storage.buffer }, storage);
  return storage;
}

/** Bytes given out since garbage was last asked for; values are small in JavaScript, so its collector would not hurry. */
let sinceCollection = 0;
const COLLECT_AFTER = 256 * 2 ** 20;

/** Memory for a value, from what is free or new. */
export async function allocate(device: Device, bytes: number, purpose: string): Promise<Storage> {
  const size = Math.max(4, Math.ceil(bytes / 4) * 4);
  sinceCollection += Math.max(size, 2 ** 16);
  if (sinceCollection > COLLECT_AFTER) {
    sinceCollection = 0;
    new ArrayBuffer(2 ** 26); // counts as pressure on the collector,
    await new Promise((resolve) => setTimeout(resolve)); // which reports dead storages in a turn of the event loop
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
