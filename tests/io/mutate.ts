/** Damage to files, drawn from a seed. */

import type { Random } from "../../src/random/random.ts";

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

/** Numbers that lengths and offsets are replaced by. */
export const ODD_NUMBERS: readonly number[] = [
  0,
  1,
  2,
  3,
  7,
  8,
  255,
  256,
  65535,
  2 ** 31 - 1,
  2 ** 32 - 1,
  2 ** 40,
  2 ** 53 - 1,
];

function flipBits(bytes: Uint8Array, random: Random): Uint8Array {
  for (let time = 1 + random.below(4); time > 0; time--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return bytes;
}

function setBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length);
  return bytes.fill(random.below(2) ? 255 : random.below(256), at, at + 1 + random.below(8));
}

function truncate(bytes: Uint8Array, random: Random): Uint8Array {
  return bytes.slice(0, random.below(bytes.length));
}

function append(bytes: Uint8Array, random: Random): Uint8Array {
  const tail = Uint8Array.from({ length: 1 + random.below(64) }, () => random.below(256));
  return new Uint8Array([...bytes, ...tail]);
}

function cut(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length), count = 1 + random.below(16);
  return new Uint8Array([...bytes.slice(0, at), ...bytes.slice(at + count)]);
}

function repeat(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length), piece = bytes.slice(at, at + 1 + random.below(32));
  return new Uint8Array([...bytes.slice(0, at), ...piece, ...bytes.slice(at)]);
}

/** Overwrites 2, 4 or 8 bytes with an odd number, as a wrong length or offset does. */
function setNumber(bytes: Uint8Array, random: Random): Uint8Array {
  const width = [2, 4, 8][random.below(3)]!, value = BigInt(ODD_NUMBERS[random.below(ODD_NUMBERS.length)]!);
  const at = random.below(Math.max(1, bytes.length - width));
  bytes.set(new Uint8Array(BigUint64Array.of(value).buffer).slice(0, width).slice(0, bytes.length - at), at);
  return bytes;
}

/** Overwrites a decimal number in a text, keeping the length of the text or not. */
function setDigits(bytes: Uint8Array, random: Random): Uint8Array {
  const places = [...bytes.keys()].filter((at) => bytes[at]! >= 0x30 && bytes[at]! <= 0x39);
  if (places.length === 0) return bytes;
  const at = places[random.below(places.length)]!;
  bytes[at] = 0x30 + random.below(10);
  return bytes;
}

const MUTATIONS: readonly Mutation[] = [flipBits, setBytes, truncate, append, cut, repeat, setNumber, setDigits];

/** A copy with one kind of damage, or two. */
export function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  let result = bytes.slice();
  for (let time = 1 + random.below(2); time > 0; time--) {
    if (result.length > 0) result = MUTATIONS[random.below(MUTATIONS.length)]!(result, random).slice();
  }
  return result;
}

/** A pickle with one or two of its 32-bit integers changed: sizes, strides, offsets and lengths of storages. */
export function mutateIntegers(pickle: Uint8Array, random: Random): Uint8Array {
  const result = pickle.slice(), view = new DataView(result.buffer);
  const places = [...result.keys()].filter((at) => result[at] === 0x4A && at + 5 < result.length);
  for (let time = 1 + random.below(2); time > 0; time--) {
    const value = random.below(4) ? random.below(8) : ODD_NUMBERS[random.below(ODD_NUMBERS.length)]! - random.below(2);
    view.setInt32(places[random.below(places.length)]! + 1, value, true);
  }
  return result;
}
