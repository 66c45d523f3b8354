/**
 * Reading Python pickles of plain containers without running anything. A pickle is a program for a small stack machine; this
 * one knows the instructions that build numbers, texts, lists, tuples and dicts, and hands calls of named functions to a
 * caller that knows a few of them. Every other instruction ends the reading (Python's `pickletools` describes them all).
 *
 * @module
 */

import { OPCODE_NAMES } from "./pickle_opcodes.ts";
import { byteString, latin1, parseFloat64, parseInteger, parseQuoted, parseUnicode } from "./pickle_text.ts";
import { Global, type PickleValue, Tuple } from "./pickle_values.ts";

/** What the caller of `unpickle` knows beyond plain containers. */
export interface PickleRules {
  /** The names that may occur. */
  isKnown(name: string): boolean;
  /** The value of calling `name`; throws when the arguments are wrong. */
  call(name: string, args: readonly PickleValue[]): PickleValue;
  /** The value of a persistent id. */
  persistent(id: PickleValue): PickleValue;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Machine {
  private at = 0;
  private stack: PickleValue[] = [];
  private readonly marks: PickleValue[][] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly view: DataView;
  private done = false;

  constructor(private readonly bytes: Uint8Array, private readonly rules: PickleRules, private readonly path: string) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  run(): PickleValue {
    while (!this.done) this.step();
    const value = this.pop();
    if (this.stack.length > 0 || this.marks.length > 0) this.fail("it stops with values left on its stack");
    if (this.at !== this.bytes.length) this.fail(`it stops at byte ${this.at} of ${this.bytes.length}`);
    return value;
  }

  private fail(what: string): never {
    throw new SyntaxError(`Cannot read "${this.path}": its pickle is refused, ${what}`);
  }

  /** Advances by `count` bytes and returns where they start. */
  private take(count: number): number {
    const begin = this.at;
    if (count > this.bytes.length - begin) this.fail(`byte ${begin} asks for ${count} bytes of ${this.bytes.length}`);
    this.at = begin + count;
    return begin;
  }

  private uint(size: 1 | 2 | 4 | 8): number {
    const at = this.take(size);
    if (size === 1) return this.view.getUint8(at);
    if (size === 2) return this.view.getUint16(at, true);
    return size === 4 ? this.view.getUint32(at, true) : Number(this.view.getBigUint64(at, true));
  }

  private text(length: number): string {
    const at = this.take(length);
    try {
      return UTF8.decode(this.bytes.subarray(at, at + length));
    } catch {
      return this.fail(`the text at byte ${at} is not UTF-8`);
    }
  }

  /** The length of the line that starts here. */
  private lineLength(): number {
    const end = this.bytes.indexOf(10, this.at);
    return end < 0 ? this.fail(`the line at byte ${this.at} does not end`) : end - this.at;
  }

  private line(): string {
    const line = this.text(this.lineLength());
    this.at++;
    return line;
  }

  /** What a line of a pickle of protocol 0 says. */
  private parsed<T>(parse: (line: string) => T | undefined): T {
    const at = this.take(this.lineLength()), value = parse(latin1(this.bytes.subarray(at, this.at)));
    this.at++;
    return value === undefined ? this.fail(`the line at byte ${at} cannot be read`) : value;
  }

  private key(): number {
    const key = this.parsed(parseInteger);
    return typeof key === "number" ? key : this.fail(`the number of a stored value is ${key}`);
  }

  private byteString(length: number): string {
    const at = this.take(length);
    return byteString(this.bytes.subarray(at, this.at));
  }

  private long(length: number): number | bigint {
    const at = this.take(length);
    let value = 0n;
    for (let byte = length - 1; byte >= 0; byte--) value = value << 8n | BigInt(this.bytes[at + byte]!);
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  private pop(): PickleValue {
    return this.stack.length > 0
      ? this.stack.pop()!
      : this.fail(`there is no value for the instruction at byte ${this.at - 1}`);
  }

  private top(): PickleValue {
    return this.stack.length > 0
      ? this.stack.at(-1)!
      : this.fail(`there is no value for the instruction at byte ${this.at - 1}`);
  }

  /** The values since the last mark. */
  private popMark(): PickleValue[] {
    const items = this.stack;
    this.stack = this.marks.pop() ?? this.fail(`there is no mark for the instruction at byte ${this.at - 1}`);
    return items;
  }

  private popTuple(count: number): Tuple {
    const items = Array.from({ length: count }, () => this.pop());
    return new Tuple(items.reverse());
  }

  private remember(key: number): void {
    this.memo.set(key, this.top());
  }

  private recall(key: number): PickleValue {
    return this.memo.has(key) ? this.memo.get(key)! : this.fail(`it recalls value ${key}, which was not stored`);
  }

  private global(module: PickleValue, name: PickleValue): Global {
    if (typeof module !== "string" || typeof name !== "string") this.fail("a global has no name");
    const full = `${module}.${name}`;
    if (!this.rules.isKnown(full)) {
      this.fail(`it asks for "${full}", which is no tensor and no plain container; nothing was run`);
    }
    return new Global(full);
  }

  private reduce(): PickleValue {
    const args = this.pop(), callee = this.pop();
    if (!(callee instanceof Global) || !(args instanceof Tuple)) this.fail("it calls something that is no function");
    return this.rules.call(callee.name, args.items);
  }

  private setItems(items: readonly PickleValue[], dict = this.top()): PickleValue {
    if (!(dict instanceof Map) || items.length % 2 !== 0) this.fail("it sets items of something that is no dict");
    for (let at = 0; at < items.length; at += 2) {
      const item = items[at]!, key = item instanceof Global ? item.name : item;
      if (typeof key !== "string" && typeof key !== "number") this.fail("a key is neither a text nor a number");
      dict.set(key, items[at + 1]!);
    }
    return dict;
  }

  private append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) this.fail("it appends to something that is no list");
    for (const item of items) list.push(item);
  }

  /** Attributes of an OrderedDict (`_metadata` of a state dict) are read and forgotten; nothing else may have any. */
  private build(): void {
    const state = this.pop();
    if (!(state instanceof Map) || !(this.top() instanceof Map)) {
      this.fail("it sets attributes of something that is no dict");
    }
  }

  private protocol(): void {
    const version = this.uint(1);
    if (version < 2 || version > 5) this.fail(`its protocol is ${version}, must be 2 to 5`);
  }

  private frame(): void {
    const length = this.uint(8);
    if (length > this.bytes.length - this.at) this.fail(`a frame claims ${length} bytes`);
  }

  /** Instructions that push a value. */
  private readonly values: Readonly<Record<string, () => PickleValue>> = {
    NONE: () => null,
    NEWTRUE: () => true,
    NEWFALSE: () => false,
    BININT: () => this.view.getInt32(this.take(4), true),
    BININT1: () => this.uint(1),
    BININT2: () => this.uint(2),
    LONG1: () => this.long(this.uint(1)),
    BINFLOAT: () => this.view.getFloat64(this.take(8)),
    BINUNICODE: () => this.text(this.uint(4)),
    SHORT_BINUNICODE: () => this.text(this.uint(1)),
    BINUNICODE8: () => this.text(this.uint(8)),
    EMPTY_LIST: () => [],
    EMPTY_DICT: () => new Map(),
    EMPTY_TUPLE: () => new Tuple([]),
    TUPLE: () => new Tuple(this.popMark()),
    TUPLE1: () => this.popTuple(1),
    TUPLE2: () => this.popTuple(2),
    TUPLE3: () => this.popTuple(3),
    BINGET: () => this.recall(this.uint(1)),
    LONG_BINGET: () => this.recall(this.uint(4)),
    GLOBAL: () => this.global(this.line(), this.line()),
    STACK_GLOBAL: () => this.global(...this.popTuple(2).items as [PickleValue, PickleValue]),
    REDUCE: () => this.reduce(),
    // Protocols 0 and 1, and what Python 2 writes in any.
    INT: () => this.parsed(parseInteger),
    LONG: () => this.parsed(parseInteger),
    FLOAT: () => this.parsed(parseFloat64),
    STRING: () => this.parsed(parseQuoted),
    UNICODE: () => this.parsed(parseUnicode),
    BINSTRING: () => this.byteString(this.uint(4)),
    SHORT_BINSTRING: () => this.byteString(this.uint(1)),
    LIST: () => this.popMark(),
    DICT: () => this.setItems(this.popMark(), new Map()),
    GET: () => this.recall(this.key()),
    BINPERSID: () => this.rules.persistent(this.pop()),
  };

  /** Instructions that only change what is there. */
  private readonly actions: Readonly<Record<string, () => void>> = {
    PROTO: () => this.protocol(),
    FRAME: () => this.frame(),
    STOP: () => this.done = true,
    MARK: () => {
      this.marks.push(this.stack);
      this.stack = [];
    },
    PUT: () => this.remember(this.key()),
    BINPUT: () => this.remember(this.uint(1)),
    LONG_BINPUT: () => this.remember(this.uint(4)),
    MEMOIZE: () => this.remember(this.memo.size),
    APPEND: () => this.append([this.pop()]),
    APPENDS: () => this.append(this.popMark()),
    SETITEM: () => void this.setItems(this.popTuple(2).items),
    SETITEMS: () => void this.setItems(this.popMark()),
    BUILD: () => this.build(),
  };

  private step(): void {
    const code = this.uint(1);
    const name = OPCODE_NAMES.get(code) ?? `0x${code.toString(16)}`;
    const make = this.values[name], action = this.actions[name];
    if (make !== undefined) {
      // First the value: making a tuple changes which stack it goes to.
      const value = make();
      this.stack.push(value);
    } else if (action !== undefined) action();
    else {this.fail(
        `it has the instruction ${name} at byte ${this.at - 1}, which plain tensors do not need; nothing was run`,
      );}
  }
}

/**
 * The value that a pickle of any protocol, 0 to 5, describes.
 *
 * @param path What to call the file in messages.
 * @throws {SyntaxError} At the first instruction or global that plain containers do not need, with its name.
 */
export function unpickle(bytes: Uint8Array, rules: PickleRules, path: string): PickleValue {
  return new Machine(bytes, rules, path).run();
}
