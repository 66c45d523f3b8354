/**
 * Time stamps around compute passes.
 *
 * @module
 */
import type { Device } from "./device.ts";
import { UnsupportedError } from "./errors.ts";
import { BufferUsage, MAP_MODE_READ, READ_BACK_USAGE } from "./usage.ts";

/** Measures the compute passes of one command buffer, one after the other. */
export class TimeStamps {
  #count = 0;

  private constructor(
    readonly device: Device,
    readonly querySet: GPUQuerySet,
    readonly target: GPUBuffer,
    readonly staging: GPUBuffer,
  ) {}

  /** Room for `passes` passes. Throws if the adapter has no time stamps. */
  static async create(device: Device, passes: number): Promise<TimeStamps> {
    if (!device.gpu.features.has("timestamp-query")) {
      throw new UnsupportedError(
        `Cannot profile: the adapter "${device.adapter}" has no time stamps (timestamp-query)`,
      );
    }
    const resolved = BufferUsage.QUERY_RESOLVE | BufferUsage.COPY_SRC;
    const target = await device.createBuffer(256, resolved, "time stamps");
    const staging = await device.createBuffer(16 * passes, READ_BACK_USAGE, "time stamps");
    return new TimeStamps(device, device.gpu.createQuerySet({ type: "timestamp", count: 2 }), target, staging);
  }

  /** Encodes the next pass. */
  measure(encoder: GPUCommandEncoder, fill: (pass: GPUComputePassEncoder) => void): void {
    const pass = encoder.beginComputePass({
      timestampWrites: { querySet: this.querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
    });
    fill(pass);
    pass.end();
    encoder.resolveQuerySet(this.querySet, 0, 2, this.target, 0);
    encoder.copyBufferToBuffer(this.target, 0, this.staging, 16 * this.#count++, 16);
  }

  /** Start and end of each pass, nanoseconds from the first, once the command buffer is submitted. Frees the time stamps. */
  async read(): Promise<{ start: number; end: number }[]> {
    await this.staging.mapAsync(MAP_MODE_READ);
    const times = new BigUint64Array(this.staging.getMappedRange().slice(0));
    this.device.destroyBuffer(this.staging);
    this.device.destroyBuffer(this.target);
    this.querySet.destroy();
    const since = (i: number): number => Number(times[i]! - times[0]!);
    return Array.from({ length: this.#count }, (_, i) => ({ start: since(2 * i), end: since(2 * i + 1) }));
  }
}
