/**
 * From a graph to a list of dispatches: groups are lowered, every value gets a place, donated memory is reused.
 *
 * @module
 */
import type { DeviceProfile } from "../gpu/device.ts";
import { UnsupportedError } from "../gpu/errors.ts";
import { elementwiseKernel, emitter, type Placement } from "./codegen.ts";
import { clear, copyRows } from "./copy_rows.ts";
import { matchDonations } from "./donation.ts";
import { fuse, type Group, isLeaf, loads, nodesOf, reachable, resolve, valueKey } from "./fuse.ts";
import { byteLength, bytesPerElement, type DType, type Node, Tensor } from "./graph.ts";
import type { BufferRef, Dispatch, Lowering } from "./lowering.ts";
import { type Layout, planMemory } from "./memory.ts";

/** Where a value of a plan is: in an arena, or in the memory of a leaf (an argument or a captured value). */
export interface Slot {
  /** What the value is, in printed programs. */
  readonly name: string;
  /** Size. */
  bytes: number;
  /** The leaf whose memory this is; otherwise the value is placed in an arena. */
  leaf: number | undefined;
  /** First step that touches the value. */
  from: number;
  /** Last step that touches it. */
  to: number;
  /** A value inside another one (a part of a concatenation). */
  parent: { slot: number; offset: number } | undefined;
}

/** What a result of the program is: a value of the program, or a leaf handed through. */
export interface PlannedResult {
  /** Where the value is at the end of a run. */
  readonly ref: BufferRef;
  /** The donated leaf whose memory now holds the result. */
  readonly donated: number | undefined;
  /** Whether the value must be copied into that memory at the end. */
  readonly copied: boolean;
}

/** A program before it has memory and pipelines. */
export interface Plan {
  /** Values that are there before the program runs. */
  readonly leaves: readonly Tensor[];
  /** All values. */
  readonly slots: readonly Slot[];
  /** Kernel runs in order. */
  readonly steps: readonly Dispatch[];
  /** Results in the order of the outputs. */
  readonly results: readonly PlannedResult[];
  /** Where the intermediates are. */
  readonly layout: Layout;
  /** Place of each slot that is in an arena. */
  readonly places: readonly ({ arena: number; offset: number } | undefined)[];
}

/** Plans the computation of `outputs`. `donated` are leaves whose memory the results may take over. */
export function plan(
  outputs: readonly Tensor[],
  donated: readonly Tensor[],
  device: DeviceProfile,
  maxArenaBytes: number,
): Plan {
  return new Planner(outputs, donated, device).run(maxArenaBytes);
}

/** Storage buffers that a fused kernel binds at most. */
const MOST_BINDINGS = 14;

class Planner {
  readonly #leaves: Tensor[] = [];
  readonly #slots: Slot[] = [];
  readonly #slotOf = new Map<number, number>();
  readonly #steps: Dispatch[] = [];
  readonly #copies = new Map<string, BufferRef>();
  /** References through which kernels write. */
  readonly #written = new WeakSet<BufferRef>();
  readonly #groups: Group[];
  readonly #wanted = new Set<number>();
  /** The slot of the donated leaf whose memory a result takes, by the number of the result. */
  readonly #donation: ReadonlyMap<number, number>;
  /** Values that are computed into the memory of a donated leaf: its slot. */
  readonly #inPlace: ReadonlyMap<number, number>;
  #packs: Map<Node, Node[]> | undefined;

  constructor(readonly outputs: readonly Tensor[], donated: readonly Tensor[], readonly device: DeviceProfile) {
    for (const t of donated) this.#leafSlot(t);
    const nodes = reachable(outputs);
    this.#groups = fuse(nodes, outputs, Math.min(device.maxStorageBuffers, MOST_BINDINGS));
    this.#markWanted();
    const { results, inPlace } = matchDonations(this.#groups, outputs, donated);
    this.#donation = new Map([...results].map(([i, leaf]) => [i, this.#leafSlot(leaf)]));
    this.#inPlace = new Map([...inPlace].map(([key, leaf]) => [key, this.#leafSlot(leaf)]));
  }

  run(maxArenaBytes: number): Plan {
    this.#groups.forEach((g) => {
      this.#packInputs(g);
      this.#lower(g);
    });
    const results = this.outputs.map((t, i) => this.#result(t, i));
    this.#settle(results);
    const arena = this.#slots.map((s, i) => ({ s, i })).filter(({ s }) => s.leaf === undefined && !s.parent);
    const layout = planMemory(arena.map(({ s }) => s), this.device.alignment, maxArenaBytes);
    const places: (Plan["places"][number])[] = this.#slots.map(() => undefined);
    arena.forEach(({ i }, k) => places[i] = layout.places[k]!);
    return { leaves: this.#leaves, slots: this.#slots, steps: this.#steps, results, layout, places };
  }

  /** Values that some other group or the caller needs; the others live only in registers. */
  #markWanted(): void {
    for (const t of this.outputs) this.#wanted.add(valueKey(resolve(t).base));
    for (const g of this.#groups) {
      const own = new Set(nodesOf(g));
      for (const node of own) {
        for (const t of loads(node)) {
          const { base, offset } = resolve(t);
          const inside = own.has(base.node) && offset === 0 && base.size === t.size && !(node === g.root);
          if (!inside) this.#wanted.add(valueKey(base));
        }
      }
    }
  }

  #newSlot(name: string, bytes: number): number {
    const step = this.#steps.length;
    return this.#slots.push({ name, bytes, leaf: undefined, from: step, to: step, parent: undefined }) - 1;
  }

  #leafSlot(t: Tensor): number {
    const key = valueKey(t), known = this.#slotOf.get(key);
    if (known !== undefined) return known;
    const slot = this.#newSlot(`leaf ${t}`, byteLength(t));
    this.#slots[slot]!.leaf = this.#leaves.push(t) - 1;
    this.#slotOf.set(key, slot);
    return slot;
  }

  /** The slot of a stored value; made when the value is first written or, in a concatenation, before. */
  #slot(t: Tensor): number {
    const key = valueKey(t), known = this.#slotOf.get(key);
    if (known !== undefined) return known;
    if (isLeaf(t)) return this.#leafSlot(t);
    const slot = this.#inPlace.get(key) ?? this.#newSlot(`${t.node.op.name} ${t}`, byteLength(t));
    this.#slotOf.set(key, slot);
    return slot;
  }

  /** A reference to a tensor's memory, copied to an aligned place first where a view starts in between. */
  #load(t: Tensor): BufferRef {
    const { base, offset } = resolve(t);
    const bytes = offset * bytesPerElement(base.dtype);
    const ref = this.#touch({ value: this.#slot(base), offset: bytes, bytes: byteLength(t), dtype: t.dtype });
    if (this.#absolute(ref) % this.device.alignment === 0) return ref;
    const key = `${valueKey(base)}:${ref.offset}:${ref.bytes}`; // not the slot: in place, it holds one value and then another
    const known = this.#copies.get(key);
    if (known) return this.#touch(known);
    const whole = { ...ref, offset: 0, bytes: this.#slots[ref.value]!.bytes };
    const copy = this.#copyOf(whole, "view", ref.offset, ref.bytes);
    this.#copies.set(key, copy);
    return this.#touch(copy);
  }

  /** A part of a range in a place of its own. */
  #copyOf(from: BufferRef, name: string, offset = 0, bytes: number = from.bytes): BufferRef {
    const copy = {
      value: this.#newSlot(`copy ${this.#slots[from.value]!.name}`, bytes),
      offset: 0,
      bytes,
      dtype: from.dtype,
    };
    this.#copyRun(name, from, copy, offset, 0, bytes);
    return copy;
  }

  #root(ref: BufferRef): Slot {
    let slot = this.#slots[ref.value]!;
    while (slot.parent) slot = this.#slots[slot.parent.slot]!;
    return slot;
  }

  #absolute(ref: BufferRef): number {
    let offset = ref.offset, slot = this.#slots[ref.value]!;
    while (slot.parent) offset += slot.parent.offset, slot = this.#slots[slot.parent.slot]!;
    return offset;
  }

  #touch(ref: BufferRef): BufferRef {
    for (
      let slot: Slot | undefined = this.#slots[ref.value];
      slot;
      slot = slot.parent && this.#slots[slot.parent.slot]
    ) {
      slot.to = Math.max(slot.to, this.#steps.length);
      slot.from = Math.min(slot.from, this.#steps.length);
    }
    return ref;
  }

  /** Copies bytes from one offset to another. */
  #copyRun(name: string, from: BufferRef, to: BufferRef, fromByte: number, toByte: number, bytes: number): void {
    const [columns, fromOffset, toOffset] = [bytes, fromByte, toByte].map((n) => n / bytesPerElement(from.dtype));
    this.#push(
      copyRows(name, from, to, {
        rows: 1,
        columns: columns!,
        fromStride: 0,
        fromOffset: fromOffset!,
        toStride: 0,
        toOffset: toOffset!,
      }),
    );
  }

  #push(d: Dispatch): void {
    this.#checkHalfFloats(d);
    const apart = this.#withoutOverlaps(d);
    for (const b of apart.bindings) if (!("words" in b)) this.#touch(b);
    this.#steps.push(apart);
  }

  /**
   * A dispatch whose bindings do not overlap: WebGPU refuses a range that is bound twice where kernels may write to it, as
   * they may to all of ours. What is only read is copied first.
   */
  #withoutOverlaps(d: Dispatch): Dispatch {
    const bindings = [...d.bindings];
    for (let i = 0; i < bindings.length; i++) {
      for (let j = 0; j < i; j++) {
        const [a, b] = [bindings[j]!, bindings[i]!];
        if ("words" in a || "words" in b || !this.#overlap(a, b)) continue;
        const read = [i, j].find((k) => !this.#written.has(bindings[k] as BufferRef));
        if (read === undefined) throw new Error(`Cannot run ${d.name}: it writes one result through two bindings`);
        bindings[read] = this.#copyOf(bindings[read] as BufferRef, "copy");
      }
    }
    return { ...d, bindings };
  }

  #overlap(a: BufferRef, b: BufferRef): boolean {
    if (this.#root(a) !== this.#root(b)) return false;
    const [startA, startB] = [this.#absolute(a), this.#absolute(b)];
    return startA < startB + b.bytes && startB < startA + a.bytes;
  }

  /** Refuses kernels that the adapter cannot compile. */
  #checkHalfFloats(d: Dispatch): void {
    if (d.code.startsWith("enable f16;") && !this.device.f16) {
      throw new UnsupportedError(
        `Cannot run ${d.name}: the adapter has no 16-bit floats (shader-f16): cast them to f32`,
      );
    }
  }

  /** Gives the values that a later concatenation consists of their places inside it. */
  #packInputs(g: Group): void {
    for (const node of nodesOf(g)) {
      for (const pack of this.#packsOf.get(node) ?? []) {
        const whole = this.#slot(new Tensor(pack));
        if (this.#hasGaps(pack)) this.#clear(whole);
        const offsets = pack.op.packs!(pack);
        for (const [i, t] of pack.inputs.entries()) {
          const { base, offset: inside } = resolve(t);
          const key = valueKey(base), bytes = byteLength(t), offset = offsets[i]! * bytesPerElement(t.dtype);
          const free = !isLeaf(base) && !this.#slotOf.has(key) && !this.#inPlace.has(key) && !base.node.op.packs;
          if (free && inside === 0 && base.size === t.size && offset % this.device.alignment === 0) {
            const slot = this.#newSlot(`${base.node.op.name} ${base}`, bytes);
            this.#slots[slot]!.parent = { slot: whole, offset };
            this.#slotOf.set(key, slot);
          }
        }
      }
    }
  }

  /** Concatenations by the node that first computes a part of them, or by themselves if all parts are there already. */
  get #packsOf(): Map<Node, Node[]> {
    return this.#packs ??= this.#findPacks();
  }

  #findPacks(): Map<Node, Node[]> {
    const found = new Map<Node, Node[]>();
    const position = new Map<Node, number>();
    this.#groups.forEach((g, i) => nodesOf(g).forEach((n) => position.set(n, i)));
    for (const pack of this.#groups.flatMap(nodesOf).filter((n) => n.op.packs)) {
      const parts = pack.inputs.map((t) => resolve(t).base).filter((b) => !isLeaf(b)).map((b) => b.node);
      const first = parts.sort((a, b) => position.get(a)! - position.get(b)!)[0] ?? pack;
      found.set(first, [...(found.get(first) ?? []), pack]);
    }
    return found;
  }

  #lower(g: Group): void {
    const place: Placement = {
      load: (t) => this.#load(t),
      store: (t) => this.#wanted.has(valueKey(t)) ? this.#output(t) : undefined,
    };
    if (!g.root) return this.#push(elementwiseKernel(g.members, place));
    if (g.root.op.packs) return this.#lowerPack(g.root);
    this.#lowerRoot(g.root, g.members, place);
  }

  #lowerRoot(root: Node, members: readonly Node[], place: Placement): void {
    if (!root.op.lower) throw new Error(`Cannot run ${root.op.name}: the op has no lowering`);
    const results = root.avals.map((_, i) => new Tensor(root, i));
    const emits = !!root.op.emits;
    const ctx: Lowering = {
      device: this.device,
      inputs: root.inputs.map((t) => this.#load(t)),
      outputs: results.map((t, i) =>
        ((i === 0 && emits) || root.op.optional?.(root, i)) && !this.#wanted.has(valueKey(t))
          ? this.#nowhere(t)
          : this.#output(t)
      ),
      scratch: (bytes, dtype: DType = "f32") => {
        const size = Math.max(4, Math.ceil(bytes / 4) * 4);
        const value = this.#newSlot(`${root.op.name} scratch`, size);
        return this.#writable({ value, offset: 0, bytes: size, dtype });
      },
      emit: (width) => emitter(results[0]!, members, place, width),
      dispatch: (d) =>
        this.#push(members.length ? { ...d, name: [d.name, ...members.map((m) => m.op.name)].join("+") } : d),
    };
    root.op.lower(ctx, root);
  }

  /** A result that nobody stores; binding it would be a mistake of the kernel. */
  #nowhere(t: Tensor): BufferRef {
    return { value: -1, offset: 0, bytes: 0, dtype: t.dtype };
  }

  #output(t: Tensor): BufferRef {
    return this.#writable({ value: this.#slot(t), offset: 0, bytes: byteLength(t), dtype: t.dtype });
  }

  #writable(ref: BufferRef): BufferRef {
    this.#written.add(ref);
    return this.#touch(ref);
  }

  #lowerPack(node: Node): void {
    const whole = this.#output(new Tensor(node));
    const offsets = node.op.packs!(node);
    for (const [i, t] of node.inputs.entries()) {
      const { base } = resolve(t), bytes = byteLength(t), offset = offsets[i]! * bytesPerElement(t.dtype);
      const slot = this.#slots[this.#slotOf.get(valueKey(base)) ?? -1];
      const placed = slot?.parent?.slot === whole.value && slot.parent.offset === offset && base.size === t.size;
      if (placed) continue;
      const aligned = offset % this.device.alignment === 0; // then only the part is bound: the rest may be what is copied
      const to = aligned ? this.#writable({ ...whole, offset, bytes }) : whole;
      this.#copyRun("concat", this.#load(t), to, 0, aligned ? 0 : offset, bytes);
    }
  }

  #hasGaps(pack: Node): boolean {
    return pack.inputs.reduce((n, t) => n + t.size, 0) < new Tensor(pack).size;
  }

  #clear(slot: number): void {
    this.#push(clear({ value: slot, offset: 0, bytes: this.#slots[slot]!.bytes, dtype: "u32" }));
  }

  #result(t: Tensor, i: number): PlannedResult {
    const { base, offset } = resolve(t), slot = this.#donation.get(i);
    const start = offset * bytesPerElement(base.dtype);
    const ref = start % 4
      ? this.#load(t)
      : { value: this.#slot(base), offset: start, bytes: byteLength(t), dtype: t.dtype };
    const donated = slot === undefined ? undefined : this.#slots[slot]!.leaf;
    return { ref, donated, copied: slot !== undefined && ref.value !== slot };
  }

  /** Results live to the end, where they are copied out. */
  #settle(results: readonly PlannedResult[]): void {
    for (const r of results) this.#touch(r.ref);
  }
}
