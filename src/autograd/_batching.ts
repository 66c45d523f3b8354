/**
 * A graph for every element of a batch at once: its nodes are applied again, by their batching rules, to tensors with one more axis.
 *
 * @module
 */
import { cast } from "../ops/elementwise.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { reshape, slice, stack } from "../ops/shape.ts";
import { valueKey } from "../program/fuse.ts";
import { applyAll, type Batch, type Node, type Tensor } from "../program/graph.ts";
import { placeholder } from "../program/program.ts";

/** Tensors of a graph, and what they are for all elements of a batch: the same with an axis in front. */
export class Batching {
  /** By the key of the tensor of one element; undefined where it is the same for all. */
  readonly #known: Map<number, Tensor | undefined>;

  /** The first node that can be batched. */
  #first: number;

  constructor(readonly size: number, outer?: Batching) {
    this.#known = new Map(outer ? outer.#known : []);
    this.#first = outer ? outer.#first : Infinity;
  }

  /** Says what a tensor is for all elements: `batched`, [size, ...]. */
  set(example: Tensor, batched: Tensor): void {
    this.#known.set(valueKey(example), batched);
    this.#first = Math.min(this.#first, example.node.id);
  }

  /** What tensors are for all elements, undefined where they are the same for each. */
  of(tensors: readonly Tensor[]): (Tensor | undefined)[] {
    for (const node of this.#unknown(tensors)) this.#batch(node);
    return tensors.map((t) => this.#known.get(valueKey(t)));
  }

  /** [size, ...] of a tensor that is the same for all elements. */
  repeated(t: Tensor): Tensor {
    return cast(broadcastTo(reshape(t, [1, ...t.shape]), [this.size, ...t.shape]), t.dtype);
  }

  /** The nodes that `tensors` need and that are not known, in order. */
  #unknown(tensors: readonly Tensor[]): Node[] {
    const seen = new Set<Node>(), stack = tensors.map((t) => t.node);
    while (stack.length) {
      const node = stack.pop()!;
      if (node.id < this.#first || seen.has(node) || this.#known.has(node.firstResult)) continue;
      seen.add(node);
      for (const { node: input } of node.inputs) stack.push(input);
    }
    return [...seen].sort((a, b) => a.id - b.id);
  }

  #batch(node: Node): void {
    const inputs = node.inputs.map((t) => this.#known.get(valueKey(t)));
    const results = inputs.some((t) => t) ? this.#apply(node, inputs) : [];
    node.avals.forEach((_, i) => this.#known.set(node.firstResult + i, results[i]));
  }

  /** The results of a node of which some inputs are batched. */
  #apply(node: Node, found: readonly (Tensor | undefined)[]): Tensor[] {
    const { op, attrs } = node, inputs = node.inputs.map((t, i) => found[i] ?? t);
    const batch: Batch = {
      size: this.size,
      batched: found.map((t) => t !== undefined),
      whole: () => inputs.map((t, i) => found[i] ?? this.repeated(t)),
      apply: (given, own) => applyAll(op, given, own),
      map: (fn, given) => this.map(fn, given),
    };
    const results = op.batch?.(inputs, attrs, batch);
    if (results) return results;
    if (op.compose) {
      const own = new Batching(this.size), examples = node.inputs.map(placeholder);
      examples.forEach((t, i) => own.set(t, found[i] ?? this.repeated(node.inputs[i]!)));
      const parts = op.compose(examples, attrs);
      return own.of(parts).map((t, i) => t ?? own.repeated(parts[i]!));
    }
    const each = Array.from(
      { length: this.size },
      (_, i) => applyAll(op, inputs.map((t, k) => found[k] ? element(t, i) : t), attrs),
    );
    return node.avals.map((_, k) => stack(each.map((all) => all[k]!)));
  }

  /** `fn` of the elements of `inputs`, all [size, ...]; what it closes over is what it was when this batch was made. */
  map(fn: (...inputs: Tensor[]) => (Tensor | null)[], inputs: readonly Tensor[]): (Tensor | null)[] {
    const own = new Batching(this.size, this),
      examples = inputs.map(({ shape, dtype }) => placeholder({ shape: shape.slice(1), dtype }));
    examples.forEach((t, i) => own.set(t, inputs[i]!));
    const results = fn(...examples), batched = own.of(results.flatMap((t) => t ?? []));
    return results.map((t) => t && (batched.shift() ?? own.repeated(t)));
  }
}

/** One element of a batch. */
function element(t: Tensor, i: number): Tensor {
  return reshape(slice(t, 0, i, i + 1), t.shape.slice(1));
}
