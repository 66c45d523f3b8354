/**
 * GPU memory that holds one value.
 *
 * @module
 */
import type { Device } from "./device.ts";

/** A range of a buffer. The buffer belongs to the storage that was created with it. */
export class Storage {
  #released = false;
  constructor(readonly device: Device, readonly buffer: GPUBuffer, readonly offset: number, readonly bytes: number) {}

  /** Whether the memory was given to the result of a later call (see `donate`) or released. */
  get released(): boolean {
    return this.#released;
  }

  /** Marks the value as gone; the memory itself is managed by the owner. */
  release(): void {
    this.#released = true;
  }
}
