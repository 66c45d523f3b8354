/**
 * The loop of a scan in a program: the kernels of its body, planned once, dispatched for every element.
 *
 * @module
 */
import { copyRows } from "../program/copy_rows.ts";
import { valueKey } from "../program/fuse.ts";
import { byteLength, sizeOf, type Tensor } from "../program/graph.ts";
import type { BufferRef, Dispatch, Lowering } from "../program/lowering.ts";
import { type Plan, plan } from "../program/plan.ts";

/** One turn of a loop: placeholders of what it reads, its next carries and its results. */
export interface Body {
  readonly carries: readonly Tensor[];
  readonly xs: readonly Tensor[];
  readonly constants: readonly Tensor[];
  readonly next: readonly Tensor[];
  readonly ys: readonly Tensor[];
}

/** Whether somebody reads what goes here. */
const isWanted = (ref: BufferRef): boolean => ref.bytes > 0;

/**
 * Inputs: first carries, xs [length, ...], constants. Results: last carries, ys [length, ...], the carries before every turn [length, ...],
 * the latter only where they are read. Rows of what is stacked are used in place where they are aligned, else copied.
 */
export function lowerLoop(ctx: Lowering, body: Body, length: number, reverse: boolean): void {
  new Loop(ctx, body, length, reverse).run();
}

class Loop {
  readonly #plan: Plan;
  readonly #arenas: readonly BufferRef[];
  /** Two places for each carry that is not kept in rows, from one turn to the next, and one for each row that is copied. */
  readonly #scratch = new Map<string, BufferRef>();

  constructor(readonly ctx: Lowering, readonly body: Body, readonly length: number, readonly reverse: boolean) {
    this.#plan = plan([...body.next, ...body.ys], [], ctx.device, Infinity);
    this.#arenas = this.#plan.layout.arenas.map((bytes) => ctx.scratch(bytes));
  }

  run(): void {
    const { carries, xs, constants, ys } = this.body, { inputs, outputs } = this.ctx;
    const lasts = outputs.slice(0, carries.length), stacked = outputs.slice(carries.length, carries.length + ys.length);
    const saved = outputs.slice(carries.length + ys.length);
    const place = (k: number, turn: number, at: number): BufferRef => {
      if (turn === 0) return inputs[k]!;
      if (turn === this.length) return lasts[k]!;
      return this.#isRow(saved[k]!, carries[k]!)
        ? this.#row(saved[k]!, carries[k]!, at)
        : this.#own(`carry ${k} ${turn % 2}`, carries[k]!);
    };
    for (let turn = 0; turn < this.length; turn++) {
      const [at, after] = [turn, turn + 1].map((t) => this.reverse ? this.length - 1 - t : t) as [number, number];
      const leaves = new Map<number, BufferRef>(
        constants.map((t, k) => [valueKey(t), inputs[carries.length + xs.length + k]!]),
      );
      carries.forEach((t, k) => {
        const from = place(k, turn, at);
        leaves.set(valueKey(t), from);
        if (isWanted(saved[k]!) && (turn === 0 || !this.#isRow(saved[k]!, t))) this.#copy(from, saved[k]!, t, 0, at);
      });
      xs.forEach((t, k) => leaves.set(valueKey(t), this.#take(inputs[carries.length + k]!, t, at, `x ${k}`)));
      const targets = [
        ...carries.map((_, k) => place(k, turn + 1, after)),
        ...ys.map((t, k) => this.#isRow(stacked[k]!, t) ? this.#row(stacked[k]!, t, at) : this.#own(`y ${k}`, t)),
      ];
      this.#turn(leaves, targets);
      ys.forEach((t, k) => {
        if (!this.#isRow(stacked[k]!, t)) this.#copy(targets[carries.length + k]!, stacked[k]!, t, 0, at);
      });
    }
  }

  /** One turn: results that are computed nowhere else are computed where they shall be, the others copied there. */
  #turn(leaves: ReadonlyMap<number, BufferRef>, targets: readonly BufferRef[]): void {
    const direct = new Map<number, BufferRef>(), { results, slots } = this.#plan;
    const copied = results.map(({ ref }, i) => {
      const slot = slots[ref.value]!, own = slot.leaf === undefined && !slot.parent && slot.bytes === ref.bytes;
      if (own && ref.offset === 0 && !direct.has(ref.value)) return direct.set(ref.value, targets[i]!), false;
      return true;
    });
    const located = (ref: BufferRef): BufferRef => this.#located(ref, leaves, direct);
    for (const step of this.#plan.steps) {
      this.ctx.dispatch({ ...step, bindings: step.bindings.map((b) => "words" in b ? b : located(b)) });
    }
    results.forEach(({ ref }, i) => {
      if (copied[i]) this.ctx.dispatch(copyOf(located(ref), targets[i]!));
    });
  }

  /** Where a value of the body's plan is in the program. */
  #located(ref: BufferRef, leaves: ReadonlyMap<number, BufferRef>, direct: ReadonlyMap<number, BufferRef>): BufferRef {
    let { value, offset } = ref, slot = this.#plan.slots[value]!;
    while (slot.parent) offset += slot.parent.offset, value = slot.parent.slot, slot = this.#plan.slots[value]!;
    const place = this.#plan.places[value];
    const base = direct.get(value) ??
      (slot.leaf !== undefined ? leaves.get(valueKey(this.#plan.leaves[slot.leaf]!))! : this.#arenas[place!.arena]!);
    const inside = direct.has(value) || !place ? 0 : place.offset;
    return { ...ref, value: base.value, offset: base.offset + inside + offset };
  }

  #isRow(ref: BufferRef, t: Tensor): boolean {
    return isWanted(ref) && byteLength(t) % this.ctx.device.alignment === 0;
  }

  #row(ref: BufferRef, t: Tensor, at: number): BufferRef {
    return { ...ref, offset: ref.offset + at * byteLength(t), bytes: byteLength(t) };
  }

  #own(name: string, t: Tensor): BufferRef {
    let ref = this.#scratch.get(name);
    if (!ref) this.#scratch.set(name, ref = this.ctx.scratch(byteLength(t), t.dtype));
    return ref;
  }

  #take(from: BufferRef, t: Tensor, at: number, name: string): BufferRef {
    if (this.#isRow(from, t)) return this.#row(from, t, at);
    const own = this.#own(name, t);
    this.#copy(from, own, t, at, 0);
    return own;
  }

  /** Copies row `fromRow` of `from` to row `toRow` of `to`. */
  #copy(from: BufferRef, to: BufferRef, t: Tensor, fromRow: number, toRow: number): void {
    const columns = sizeOf(t.shape);
    this.ctx.dispatch(copyOf(from, to, columns, fromRow * columns, toRow * columns));
  }
}

function copyOf(from: BufferRef, to: BufferRef, columns = from.bytes / 4, fromOffset = 0, toOffset = 0): Dispatch {
  return copyRows("scan/copy", from, to, { rows: 1, columns, fromStride: 0, fromOffset, toStride: 0, toOffset });
}
