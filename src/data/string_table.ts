/**
 * Many strings and numbers in a few growing buffers: a string of JavaScript costs tens of bytes beside its characters,
 * and millions of them cost the garbage collector too. A string is made when it is asked for.
 *
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

type Numbers = Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

/**
 * The same numbers with room for more. A resize in place would write zeros to the rest: a new array takes memory only
 * where it is written. The old one is freed at once.
 */
function enlarge<T extends Numbers>(values: T, length: number): T {
  const larger = new (values.constructor as new (length: number) => T)(length);
  larger.set(values);
  values.buffer.transfer(0);
  return larger;
}

/** Numbers in a growing typed array: Uint32Array for counts, Float64Array for places beyond 4 GiB. */
export class NumberList {
  #values: Numbers;
  #length = 0;

  /** An empty list. */
  constructor(type: Uint32ArrayConstructor | Float64ArrayConstructor) {
    this.#values = new type(1024);
  }

  /** How many there are. */
  get length(): number {
    return this.#length;
  }

  /** Adds a number at the end. */
  push(value: number): void {
    if (this.#length === this.#values.length) this.#values = enlarge(this.#values, 2 * this.#length);
    this.#values[this.#length++] = value;
  }

  /** Takes the last number away. */
  pop(): void {
    this.#length--;
  }

  /** A number of the list. */
  at(index: number): number {
    return this.#values[index]!;
  }
}

/** Bytes in a growing buffer. */
export class ByteList {
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** How many there are. */
  get length(): number {
    return this.#length;
  }

  /** Adds bytes at the end. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Adds a text at the end, in UTF-8; half a surrogate pair becomes U+FFFD. */
  appendText(text: string): void {
    this.#reserve(3 * text.length); // the most that UTF-8 needs for a unit of UTF-16
    this.#length += encoder.encodeInto(text, this.#bytes.subarray(this.#length)).written;
  }

  /** Forgets the bytes from `length` on. */
  truncate(length: number): void {
    this.#length = length;
  }

  /** A view, valid until the list changes. */
  slice(start = 0, end: number = this.#length): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed > this.#bytes.length) this.#bytes = enlarge(this.#bytes, Math.max(needed, 2 * this.#bytes.length));
  }
}

/** Strings by number, held as UTF-8. */
export class StringList {
  readonly #bytes = new ByteList();
  readonly #ends = new NumberList(Float64Array);

  /** How many there are. */
  get length(): number {
    return this.#ends.length;
  }

  /** Adds a string at the end. */
  push(text: string): void {
    this.#bytes.appendText(text);
    this.#ends.push(this.#bytes.length);
  }

  /** Takes the last string away. */
  pop(): void {
    this.#ends.pop();
    this.#bytes.truncate(this.#start(this.length));
  }

  /** A string of the list. */
  at(index: number): string {
    return decoder.decode(this.bytes(index));
  }

  /** A string's UTF-8: a view, valid until the list changes. */
  bytes(index: number): Uint8Array {
    return this.#bytes.slice(this.#start(index), this.#ends.at(index));
  }

  #start(index: number): number {
    return index === 0 ? 0 : this.#ends.at(index - 1);
  }
}

/** Distinct strings, numbered from 0 in the order in which they come: a hash table with open addressing. */
export class StringTable {
  readonly #strings = new StringList();
  readonly #hashes = new NumberList(Uint32Array);
  /** Numbers of strings plus one, 0 where a slot is free; the length is a power of two and at most half are taken. */
  #slots = new Uint32Array(1024);

  /** How many there are. */
  get length(): number {
    return this.#hashes.length;
  }

  /** The number of a string, which is new or was there. */
  add(text: string): number {
    const last = this.length;
    this.#strings.push(text); // at the end for the comparison, taken away if it was there
    const bytes = this.#strings.bytes(last), hashed = hash(bytes);
    const slot = this.#find(hashed, bytes), found = this.#slots[slot]!;
    if (found) {
      this.#strings.pop();
      return found - 1;
    }
    this.#hashes.push(hashed);
    this.#slots[slot] = last + 1;
    if (2 * this.length > this.#slots.length) this.#grow();
    return last;
  }

  /** A string by its number. */
  at(index: number): string {
    return this.#strings.at(index);
  }

  /** The slot of the equal string, or the free one where it belongs; without bytes, strings are taken to differ. */
  #find(hashed: number, bytes?: Uint8Array): number {
    const mask = this.#slots.length - 1;
    let slot = hashed & mask;
    for (let other; (other = this.#slots[slot]!); slot = (slot + 1) & mask) {
      if (bytes && this.#hashes.at(other - 1) === hashed && equal(bytes, this.#strings.bytes(other - 1))) break;
    }
    return slot;
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let i = 0; i < this.length; i++) this.#slots[this.#find(this.#hashes.at(i))] = i + 1;
  }
}

/** FNV-1a, with the high bits folded into the low ones. */
export function hash(bytes: Uint8Array): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) value = Math.imul(value ^ bytes[i]!, 0x01000193);
  return (value ^ (value >>> 15)) >>> 0;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return false; // paths differ at their ends
  return true;
}
