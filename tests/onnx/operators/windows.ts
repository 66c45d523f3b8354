/** Windows that move over all axes behind the first two: attributes, and tables of places. */
import type { Call } from "../call.ts";
import { placesOf, stridesOf } from "./shared.ts";

/** How a window moves over spatial axes. */
export interface Window {
  /** Lengths of the axes. */
  readonly from: readonly number[];
  /** Numbers of positions. */
  readonly to: readonly number[];
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Before and behind each axis. */
  readonly pads: readonly (readonly [number, number])[];
  /** Whether the last position may stick out of the padding behind. */
  readonly ceil: boolean;
}

/** Pads of an attribute, all befores and then all behinds, by axis. */
export function padsOf(list: readonly number[] | undefined, rank: number): [number, number][] {
  return Array.from({ length: rank }, (_, i) => [list?.[i] ?? 0, list?.[i + rank] ?? 0]);
}

/** The window of a convolution or a pool over axes `from`. */
export function windowOf(call: Call, from: readonly number[], kernel: readonly number[]): Window {
  const rank = from.length, ones = Array<number>(rank).fill(1);
  const strides = call.ints("strides") ?? ones, dilations = call.ints("dilations") ?? ones;
  const auto = call.string("auto_pad", "NOTSET"), ceil = call.flag("ceil_mode");
  const spans = kernel.map((k, i) => dilations[i]! * (k - 1) + 1);
  let pads = padsOf(auto === "NOTSET" ? call.ints("pads") : undefined, rank);
  if (auto.startsWith("SAME")) {
    pads = from.map((n, i) => {
      const total = Math.max(0, (Math.ceil(n / strides[i]!) - 1) * strides[i]! + spans[i]! - n),
        half = Math.floor(total / 2);
      return auto === "SAME_UPPER" ? [half, total - half] : [total - half, half];
    });
  }
  const to = from.map((n, i) => {
    const [before, behind] = pads[i]!, steps = (n + before + behind - spans[i]!) / strides[i]!;
    const count = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    return ceil && (count - 1) * strides[i]! >= n + before ? count - 1 : count; // none begins behind the axis
  });
  return { from, to, kernel, strides, dilations, pads, ceil };
}

/** The flat place of each element of each position of the window, -1 beyond the axes: [positions * elements]. */
export function placesUnder({ from, to, kernel, strides, dilations, pads }: Window): number[] {
  const own = stridesOf(from), elements = placesOf(kernel);
  return placesOf(to).flatMap((p) =>
    elements.map((k) => {
      const at = p.map((x, i) => x * strides[i]! + k[i]! * dilations[i]! - pads[i]![0]);
      return at.some((x, i) => x < 0 || x >= from[i]!) ? -1 : at.reduce((sum, x, i) => sum + x * own[i]!, 0);
    })
  );
}

/** How many elements of each position lie within the axes and the given padding. */
export function countsUnder(w: Window): number[] {
  const elements = placesOf(w.kernel);
  return placesOf(w.to).map((p) =>
    elements.filter((k) =>
      p.every((x, i) => x * w.strides[i]! + k[i]! * w.dilations[i]! < w.from[i]! + w.pads[i]![0] + w.pads[i]![1])
    ).length
  );
}

/** Padding that gives exactly the positions of the window, as our kernels take it; undefined if they cannot. */
export function exactPads(w: Window): [readonly [number, number], readonly [number, number]] | undefined {
  const pads = w.from.map((n, i): [number, number] => {
    const span = w.dilations[i]! * (w.kernel[i]! - 1) + 1;
    const needed = (w.to[i]! - 1) * w.strides[i]! + span - n - w.pads[i]![0];
    return [w.pads[i]![0], w.ceil ? needed : w.pads[i]![1]];
  });
  const wide = pads.some(([a, b], i) => a < 0 || b < 0 || Math.max(a, b) >= w.kernel[i]!);
  if (wide || w.from.length > 2) return undefined;
  return w.from.length === 2 ? [pads[0]!, pads[1]!] : [[0, 0], pads[0]!];
}

/** A list for each of two axes, of one if there is only one: `first` in front. */
export function pair(list: readonly number[], first = 1): [number, number] {
  return list.length === 1 ? [first, list[0]!] : [list[0]!, list[1]!];
}
