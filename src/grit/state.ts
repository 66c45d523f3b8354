/**
 * The sampler's state: checked when it is restored, and as bytes with a checksum.
 *
 * @module
 */
import type { SamplerOptions } from "./options.ts";
import { checkPermutation } from "./order.ts";

/** A sampler between two mini-batches. All but the two arrays is JSON. */
export interface SamplerState {
  /** Settings of the sampler, defaults filled in. */
  readonly options: Required<SamplerOptions>;
  /** Number of the epoch, from 0. */
  readonly epoch: number;
  /** Kind of the pass. */
  readonly pass: "features" | "train";
  /** Mini-batches of the pass that are done. */
  readonly step: number;
  /** The pass's order, `[D]`. */
  readonly order: Int32Array;
  /** Examples of this pass that are grouped already, in the order of their chains. */
  readonly grouped: Int32Array;
}

const FORMAT = "gritstone-sampler-2";

/** Throws RangeError unless the state belongs to these options and is whole. */
export function checkState(state: SamplerState, options: Required<SamplerOptions>): void {
  for (const name of Object.keys(options) as (keyof SamplerOptions)[]) {
    const [saved, now] = [state.options[name], options[name]];
    if (saved !== now) {
      refuse(`"${name}" is ${JSON.stringify(saved)} in the saved state and ${JSON.stringify(now)} now`);
    }
  }
  const { examples, miniBatch } = options;
  const steps = Math.floor(examples / miniBatch);
  if (!Number.isInteger(state.step) || state.step < 0 || state.step > steps) {
    refuse(`its step must be one of 0..${steps}: it is ${state.step}`);
  }
  checkPermutation(state.order, examples, "the saved order of the epoch");
  checkGrouped(state, options, steps * miniBatch);
}

/** Examples are grouped queue by queue in the order in which they were fed. */
function checkGrouped({ order, grouped, step }: SamplerState, options: Required<SamplerOptions>, fed: number): void {
  const count = grouped.length;
  if (count > step * options.miniBatch || (count % options.queue && count !== fed)) {
    refuse(`it has ${count} grouped examples after step ${step}, which is not a number of full queues`);
  }
  const place = new Int32Array(order.length);
  order.forEach((example, i) => place[example] = i);
  const places = Int32Array.from(grouped, (example) => place[example] ?? -1);
  checkPermutation(places, count, "the saved grouped examples (their places in the order)");
}

function refuse(reason: string): never {
  throw new RangeError(`Cannot restore the sampler: ${reason}`);
}

/**
 * A state as bytes: length of the JSON (u32), the JSON, the order and the grouped examples (i32 each), and the FNV-1a hash
 * (u32) of all that. Little-endian.
 */
export function encodeState({ order, grouped, ...rest }: SamplerState): Uint8Array<ArrayBuffer> {
  const header = { format: FORMAT, ...rest, examples: order.length, grouped: grouped.length };
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 4) * 4));
  const words = new Uint32Array(1 + json.length / 4 + order.length + grouped.length + 1);
  const bytes = new Uint8Array(words.buffer);
  words[0] = json.length;
  bytes.set(json, 4);
  words.set(order, 1 + json.length / 4);
  words.set(grouped, 1 + json.length / 4 + order.length);
  words[words.length - 1] = fnv1a(bytes.subarray(0, -4));
  return bytes;
}

/**
 * The state that {@linkcode encodeState} wrote.
 *
 * @param name Of the file, for errors.
 * @throws {SyntaxError} If the bytes are no such state, are cut short or have changed.
 */
export function decodeState(bytes: Uint8Array, name: string): SamplerState {
  const fail = (reason: string): never => {
    throw new SyntaxError(`Cannot read the sampler's state: "${name}" ${reason}`);
  };
  const { buffer } = bytes.slice();
  if (bytes.length < 12 || bytes.length % 4) return fail(`is not a sampler's state: it has ${bytes.length} bytes`);
  const view = new DataView(buffer);
  const hash = fnv1a(bytes.subarray(0, -4));
  const saved = view.getUint32(bytes.length - 4, true);
  if (hash !== saved) return fail(`is damaged: its checksum is ${hash.toString(16)} and must be ${saved.toString(16)}`);
  const length = view.getUint32(0, true);
  const { format, examples, grouped, ...rest } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  if (format !== FORMAT) return fail(`has the format ${JSON.stringify(format)}: it must be "${FORMAT}"`);
  return {
    ...rest,
    order: new Int32Array(buffer, 4 + length, examples),
    grouped: new Int32Array(buffer, 4 + length + 4 * examples, grouped),
  };
}

/** FNV-1a, 32 bits. */
function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811C9DC5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
