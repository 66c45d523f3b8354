/**
 * Many strings and numbers in a few growing buffers: a string of JavaScript costs tens of bytes beside its characters,
 * and millions of them cost the garbage collector too. A string is made when it is asked for.
 *
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Numbers in a growing typed array: Uint32Array for counts, Float64Array for places beyond 4 GiB. */
export class NumberList {
  #values: Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
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
    if (this.#length === this.#values.length) {
      const type = this.#values.constructor as Float64ArrayConstructor;
      this.#values = new type(this.#values.buffer.transfer(2 * this.#values.byteLength));
    }
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
    if (needed <= this.#bytes.length) return;
    this.#bytes = new Uint8Array(this.#bytes.buffer.transfer(Math.max(needed, 2 * this.#bytes.length)));
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
  /** Numbers of strings plus one, 0 where a slot is free; the length is a power of two and at most half are taken. */
  #slots = new Uint32Array(1024);

  /** How many there are. */
  get length(): number {
    return this.#strings.length;
  }

  /** The number of a string, which is new or was there. */
  add(text: string): number {
    const last = this.length;
    this.#strings.push(text); // at the end for the comparison, taken away if it was there
    if (2 * this.length > this.#slots.length) this.#grow(last);
    const slot = this.#find(last), found = this.#slots[slot]!;
    if (found) this.#strings.pop();
    else this.#slots[slot] = last + 1;
    return found ? found - 1 : last;
  }

  /** A string by its number. */
  at(index: number): string {
    return this.#strings.at(index);
  }

  /** The slot of a string of the list: its equal's, or the free one where it belongs. */
  #find(index: number): number {
    const bytes = this.#strings.bytes(index), mask = this.#slots.length - 1;
    let slot = hash(bytes) & mask;
    for (let other; (other = this.#slots[slot]!); slot = (slot + 1) & mask) {
      if (equal(bytes, this.#strings.bytes(other - 1))) break;
    }
    return slot;
  }

  #grow(count: number): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let i = 0; i < count; i++) this.#slots[this.#find(i)] = i + 1;
  }
}

/** FNV-1a, with the high bits folded into the low ones. */
function hash(bytes: Uint8Array): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) value = Math.imul(value ^ bytes[i]!, 0x01000193);
  return value ^ (value >>> 15);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return false; // paths differ at their ends
  return true;
}
