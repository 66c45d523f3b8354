/**
 * The graph that every op builds: shapes and ops, no GPU memory. A {@linkcode Tensor} is one result of one {@linkcode Node};
 * nodes are numbered in the order of their creation, and that order is the order in which a program runs them.
 *
 * @module
 */
import type { Lowering } from "./lowering.ts";
import type { Expression } from "./expression.ts";
import type { DType } from "../gpu/dtype.ts";
import type { Storage } from "../gpu/storage.ts";

export type { DType };

/** Host arrays that hold tensor data. */
export type HostArray = Float32Array | Int32Array | Uint32Array | Uint16Array;

/** Shape and element type of a value, without the value. */
export interface Aval {
  /** Axis lengths; `[]` for a scalar. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: DType;
}

/** A result that is a contiguous part of an input. */
export interface View {
  /** Number of the input. */
  readonly input: number;
  /** In elements. */
  readonly offset: number;
}

/** One op applied to every element of a batch: what a batching rule is told, see {@linkcode Op}. */
export interface Batch<A = unknown> {
  /** Elements of the batch: the length of the first axis of the inputs that are batched. */
  readonly size: number;
  /** Which inputs have that axis; the others are the same for all elements. */
  readonly batched: readonly boolean[];
  /** All inputs with that axis. */
  whole(): Tensor[];
  /** Applies the op. */
  apply(inputs: readonly Tensor[], attrs: A): Tensor[];
  /** `fn` of the elements of inputs that all have that axis; what it closes over may be batched, too. */
  map(fn: (...inputs: Tensor[]) => (Tensor | null)[], inputs: readonly Tensor[]): (Tensor | null)[];
}

/** One kind of computation: its shape rule, its gradient rule and its lowering to kernels. */
export interface Op<A = unknown> {
  /** Name in printed programs and errors. */
  readonly name: string;
  /** Shapes of the results; throws a sentence with the current and the required state when the inputs do not fit. */
  infer(inputs: readonly Aval[], attrs: A): Aval[];
  /**
   * Gradient rule: the cotangent of each input (null: none flows), built of further nodes, from the cotangents of the
   * results (null where a result does not reach the loss).
   */
  vjp?(node: Node<A>, cotangents: readonly (Tensor | null)[]): (Tensor | null)[];
  /**
   * The same results by other ops: what is differentiated, or batched, where there is no rule. An input that another one determines
   * (statistics of rows that are inputs too) may be left unused; the gradient then flows to that one.
   */
  compose?(inputs: readonly Tensor[], attrs: A): Tensor[];
  /**
   * Batching rule: the results for all elements of a batch, along a new first axis, of inputs of which some have that axis; undefined
   * where there is no rule for these inputs. Then `compose` is batched, or the op is applied to each element by itself.
   */
  batch?(inputs: readonly Tensor[], attrs: A, batch: Batch<A>): Tensor[] | undefined;
  /** Emits the dispatches that compute the results. Absent on views, element-wise ops and leaves. */
  lower?(ctx: Lowering, node: Node<A>): void;
  /** Element-wise ops: one result element as a WGSL expression of input elements. Planned into generated kernels. */
  expression?(attrs: A, inputs: readonly Aval[]): Expression;
  /** Contiguous views: which input a result is a part of, and the element offset at which it starts. No kernel runs. */
  view?(node: Node<A>, result: number): View;
  /** Results made of inputs: the element offset of each in the result. They are computed in place where they can be; gaps are 0. */
  packs?(node: Node<A>): readonly number[];
  /** Results that are left out where nobody reads them: what is lowered for them has 0 bytes, and must not be bound. */
  optional?(node: Node<A>, result: number): boolean;
  /** [result, input] pairs that may share one buffer because each element is read before it is written by the same thread. */
  readonly inPlace?: readonly (readonly [number, number])[];
  /** The kernel writes result 0 through `ctx.emit`, so that following element-wise ops can be fused onto it. */
  readonly emits?: boolean;
  /** Cheap element-wise op (a constant, an index, a random number): computed again in each consumer, never stored. */
  readonly recompute?: boolean;
}

let nextId = 1;
let nextResult = 1;

/** One application of an op. */
export class Node<A = unknown> {
  /** Position in the order of creation, which is the order of execution. */
  readonly id: number = nextId++;
  /** Shapes and types of the results. */
  readonly avals: readonly Aval[];
  /** Number of the first result among those of all nodes; the others follow it. */
  readonly firstResult: number;
  /** Where the results live, once computed or uploaded. */
  storage: (Storage | undefined)[] = [];
  #host: HostArray | (() => HostArray) | undefined;
  /** Whether the inputs must stay when all results have been computed: gradients are still to be taken through the node. */
  pinned = false;
  /** Which results were disposed, if any. */
  disposed: boolean[] | undefined;
  /** Whether it costs nothing to compute again: constants, indices, random numbers, and what is made of these alone. */
  readonly inline: boolean;

  /** Infers the results; use {@linkcode apply}. */
  constructor(readonly op: Op<A>, public inputs: readonly Tensor[], readonly attrs: A) {
    const gone = inputs.find((t) => t.isDisposed);
    if (gone) throw disposedError(gone);
    this.avals = op.infer(inputs, attrs);
    this.firstResult = nextResult;
    nextResult += this.avals.length;
    this.inline = !!op.recompute ||
      (!!op.expression && inputs.length > 0 && inputs.every((t) => t.node.inline && !t.node.op.view));
    for (const { shape } of this.avals) {
      if (shape.some((n) => !Number.isInteger(n) || n < 1)) {
        throw new RangeError(
          `Cannot create a result of ${op.name}: every axis must hold at least 1 element: shape is [${shape}]`,
        );
      }
    }
  }

  /** Host data of a leaf that has not been uploaded. It may be given as a function, which is called once, when they are asked for. */
  get host(): HostArray | undefined {
    if (typeof this.#host === "function") this.#host = this.#host();
    return this.#host;
  }

  set host(data: HostArray | (() => HostArray) | undefined) {
    this.#host = data;
  }
}

/** An n-dimensional array: a value on the GPU, on the host, or still to be computed. Immutable; row-major. */
export class Tensor implements Aval {
  /** Use {@linkcode apply} or an op. */
  constructor(readonly node: Node, readonly index: number = 0) {}
  /** Axis lengths; `[]` for a scalar. */
  get shape(): readonly number[] {
    return this.node.avals[this.index]!.shape;
  }
  /** Element type. */
  get dtype(): DType {
    return this.node.avals[this.index]!.dtype;
  }
  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }
  /**
   * Gives the GPU memory of the value back now. An option, never a duty: memory of tensors that nobody refers to comes back by
   * itself, when the garbage collector finds them. The tensor must not be used any more; results that have been awaited keep their
   * values. `using t = ...` does the same at the end of a block.
   */
  dispose(): void {
    (this.node.disposed ??= [])[this.index] = true;
    this.node.storage[this.index]?.release();
  }
  /** As {@linkcode Tensor.dispose}. */
  [Symbol.dispose](): void {
    this.dispose();
  }
  /** Whether it was disposed. */
  get isDisposed(): boolean {
    return this.node.disposed?.[this.index] ?? false;
  }
  /** "f32[2,3]". */
  toString(): string {
    return `${this.dtype}[${this.shape.join(",")}]`;
  }
}

/** What is thrown where a disposed tensor is used. */
export function disposedError(t: Tensor): Error {
  return new Error(
    `Cannot use a ${t}: it must not have been disposed: it was, by dispose() or at the end of a "using" block`,
  );
}

/** Applies `op` and returns its first result. */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  return new Tensor(new Node(op, inputs, attrs) as Node);
}

/** Applies `op` and returns all its results. */
export function applyAll<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor[] {
  const node = new Node(op, inputs, attrs) as Node;
  return node.avals.map((_, i) => new Tensor(node, i));
}

/** Number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Whether two shapes are equal. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** Bytes of one element in GPU memory. */
export function bytesPerElement(dtype: DType): number {
  return dtype === "f16" ? 2 : 4;
}

/** Bytes of a value in GPU memory, rounded up to whole 32-bit words. */
export function byteLength(a: Aval): number {
  return Math.ceil(sizeOf(a.shape) * bytesPerElement(a.dtype) / 4) * 4;
}
