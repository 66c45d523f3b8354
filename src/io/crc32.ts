/**
 * CRC-32 as in ZIP (ISO 3309), four bytes at a time.
 *
 * @module
 */

/** `TABLES[k][b]`: the effect of byte `b` that is followed by `k` zero bytes. */
const TABLES = [0, 1, 2, 3].map(() => new Uint32Array(256)) as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];

for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xEDB88320 : 0);
  TABLES[0][byte] = value;
}
for (let byte = 0; byte < 256; byte++) {
  for (const k of [1, 2, 3] as const) {
    const previous = TABLES[k - 1]![byte]!;
    TABLES[k][byte] = TABLES[0][previous & 255]! ^ (previous >>> 8);
  }
}

/** The CRC-32 of some bytes, as an unsigned number. */
export function crc32(bytes: Uint8Array): number {
  const [t0, t1, t2, t3] = TABLES;
  let crc = 0xFFFFFFFF, at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc = t3[crc & 255]! ^ t2[(crc >>> 8) & 255]! ^ t1[(crc >>> 16) & 255]! ^ t0[crc >>> 24]!;
  }
  for (; at < bytes.length; at++) crc = t0[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
