/**
 * Where intermediates live: offsets in a few large arenas, so that values whose lifetimes do not meet share memory.
 *
 * @module
 */

/** A value to be placed. Steps are inclusive. */
export interface Lifetime {
  readonly bytes: number;
  readonly from: number;
  readonly to: number;
}

/** A place in an arena, bytes. */
export interface Place {
  /** Number of the arena. */
  readonly arena: number;
  /** Bytes from its start. */
  readonly offset: number;
}

/** Places for all values and the sizes of the arenas, bytes. */
export interface Layout {
  /** By the number of the value. */
  readonly places: readonly Place[];
  /** Sizes, bytes. */
  readonly arenas: readonly number[];
}

/**
 * Greedy by size (Pisarchyk and Lee 2020): the largest value first, each at the lowest offset that is free over its lifetime.
 * No arena grows beyond `maxBytes`.
 */
export function planMemory(values: readonly Lifetime[], alignment: number, maxBytes: number): Layout {
  const places: Place[] = new Array(values.length);
  const arenas: { bytes: number; placed: { offset: number; end: number; from: number; to: number }[] }[] = [];
  const bySize = values.map((_, i) => i).sort((a, b) => values[b]!.bytes - values[a]!.bytes || a - b);
  for (const i of bySize) {
    const { bytes, from, to } = values[i]!;
    const size = Math.ceil(bytes / alignment) * alignment;
    for (let arena = 0;; arena++) {
      const room = arenas[arena] ??= { bytes: 0, placed: [] };
      const offset = firstGap(room.placed.filter((p) => p.from <= to && from <= p.to), size);
      if (offset + size > maxBytes && room.placed.length) continue;
      places[i] = { arena, offset };
      const at = room.placed.findIndex((p) => p.offset > offset);
      room.placed.splice(at < 0 ? room.placed.length : at, 0, { offset, end: offset + size, from, to });
      room.bytes = Math.max(room.bytes, offset + size);
      break;
    }
  }
  return { places, arenas: arenas.map((a) => a.bytes) };
}

/** The lowest offset with `size` free bytes; `taken` is sorted by offset. */
function firstGap(taken: readonly { offset: number; end: number }[], size: number): number {
  let at = 0;
  for (const { offset, end } of taken) {
    if (at + size <= offset) break;
    at = Math.max(at, end);
  }
  return at;
}
