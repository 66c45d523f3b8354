/**
 * The programs of one function: one for each device and structure of arguments, as many as are in use and some more.
 *
 * @module
 */
import type { Device } from "../gpu/device.ts";
import type { Program } from "./program.ts";

/** A program and the structure of what it gives. */
export interface Traced<R> {
  readonly program: Program;
  readonly result: R;
}

/** Programs kept for a device; when there are more, idle ones that were used longest ago are destroyed. */
const KEPT = 128;

/** Programs by device and key. */
export class ProgramCache<R> {
  /** In the order of their last use. */
  readonly #devices = new Map<Device, Map<string, Traced<R> & { users: number }>>();

  /** Runs `body` with the program of `key`, traced if it is not there. It is not destroyed meanwhile. */
  async use<T>(
    device: Device,
    key: string,
    trace: () => Traced<R>,
    body: (traced: Traced<R>) => Promise<T>,
  ): Promise<T> {
    let programs = this.#devices.get(device);
    if (!programs) this.#devices.set(device, programs = new Map());
    const entry = programs.get(key) ?? { ...trace(), users: 0 };
    programs.delete(key);
    programs.set(key, entry);
    entry.users++;
    try {
      evict(programs);
      return await body(entry);
    } finally {
      entry.users--;
    }
  }

  /** Destroys all programs. */
  clear(): void {
    for (const programs of this.#devices.values()) for (const { program } of programs.values()) program.destroy();
    this.#devices.clear();
  }
}

function evict(programs: Map<string, Traced<unknown> & { readonly users: number }>): void {
  for (const [key, { program, users }] of programs) {
    if (programs.size <= KEPT) return;
    if (users) continue;
    programs.delete(key);
    program.destroy();
  }
}
