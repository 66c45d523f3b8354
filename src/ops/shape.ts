/**
 * Ops that move no number or only move numbers: reshape, slice, concat, and the barriers of differentiation.
 *
 * @module
 */
import { apply, applyAll, type Aval, Node, type Op, sameShape, sizeOf, Tensor } from "../program/graph.ts";
import { copyRows } from "../program/copy_rows.ts";
import { division } from "../program/expression.ts";
import { checkAxis } from "./_check.ts";
import { full } from "./full.ts";

const reshapeOp: Op<{ shape: readonly number[] }> = {
  name: "reshape",
  infer: ([x], { shape }) => {
    if (sizeOf(shape) !== sizeOf(x!.shape)) {
      throw new RangeError(
        `Cannot reshape [${x!.shape}] to [${shape}]: the number of elements must stay ${sizeOf(x!.shape)}: it is ${
          sizeOf(shape)
        }`,
      );
    }
    return [{ shape, dtype: x!.dtype }];
  },
  vjp: (node, [ct]) => [reshape(ct!, node.inputs[0]!.shape)],
  batch: ([x], { shape }, { size }) => [reshape(x!, [size, ...shape])],
  view: () => ({ input: 0, offset: 0 }),
};

/** The same elements in another shape; one axis may be -1. No copy. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  const open = shape.indexOf(-1);
  if (open >= 0 && (shape.indexOf(-1, open + 1) > 0 || !Number.isInteger(x.size / sizeOf(shape)))) {
    throw new RangeError(
      `Cannot reshape [${x.shape}] to [${shape}]: the other axes must divide its ${x.size} elements, and only one may be -1`,
    );
  }
  const full = open < 0 ? shape : shape.with(open, x.size / -sizeOf(shape));
  return sameShape(full, x.shape) ? x : apply(reshapeOp, [x], { shape: full });
}

const identityOp: Op<null> = {
  name: "identity",
  infer: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  vjp: (_, [ct]) => [ct!],
  batch: (inputs, attrs, batch) => batch.apply(inputs, attrs),
  view: () => ({ input: 0, offset: 0 }),
};

/** The same value as a node of its own, so that derivatives can be taken with respect to it. */
export function identity(x: Tensor): Tensor {
  return apply(identityOp, [x], null);
}

const stopOp: Op<null> = { ...identityOp, name: "stopGradient", vjp: () => [null] };

const barrierOp: Op<null> = { ...identityOp, name: "barrier" };

/** The same value, with which nothing before is fused: what is computed from it runs late, in a checkpoint's backward pass. */
export function barrier(x: Tensor): Tensor {
  return apply(barrierOp, [x], null);
}

/** The same value, through which no gradient flows. */
export function stopGradient(x: Tensor): Tensor {
  return apply(stopOp, [x], null);
}

interface SliceAttrs {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

const sliceOp: Op<SliceAttrs> = {
  name: "slice",
  infer: ([x], { axis, start, end }) => {
    const length = x!.shape[axis];
    if (length === undefined || start < 0 || end > length || start >= end) {
      throw new RangeError(
        `Cannot slice [${x!.shape}] along axis ${axis}: the range must lie in [0, ${
          length ?? 0
        }]: it is [${start}, ${end}]`,
      );
    }
    return [{ shape: x!.shape.with(axis, end - start), dtype: x!.dtype }];
  },
  vjp: (node, [ct]) => {
    const { axis, start, end } = node.attrs, shape = node.inputs[0]!.shape;
    if (!isContiguous(shape, axis) && ct!.dtype !== "f16") {
      return [apply(unsliceOp, [ct!], { axis, start, length: shape[axis]! })];
    }
    const zeros = (n: number) => n > 0 ? [full(shape.with(axis, n), 0, ct!.dtype)] : [];
    return [concat([...zeros(start), ct!, ...zeros(shape[axis]! - end)], axis)];
  },
  batch: ([x], { axis, start, end }) => [slice(x!, axis + 1, start, end)],
};

/** A slice of f16, which adapters without 16-bit floats can copy in pairs only. */
const halfSliceOp: Op<SliceAttrs> = {
  ...sliceOp,
  lower: (ctx, node) => {
    const { axis, start, end } = node.attrs, shape = node.inputs[0]!.shape;
    const inner = sizeOf(shape.slice(axis + 1)), columns = (end - start) * inner;
    ctx.dispatch(copyRows("slice", ctx.inputs[0]!, ctx.outputs[0]!, {
      rows: sizeOf(shape.slice(0, axis)),
      columns,
      fromStride: shape[axis]! * inner,
      fromOffset: start * inner,
      toStride: columns,
      toOffset: 0,
    }));
  },
};

/** A slice of words: an expression, which runs in the kernels of what is computed from it. */
const wordSliceOp: Op<SliceAttrs> = {
  ...sliceOp,
  expression: ({ axis, start, end }, [x]) => {
    const inner = sizeOf(x!.shape.slice(axis + 1)), columns = (end - start) * inner;
    const uniforms = [columns, x!.shape[axis]! * inner, start * inner], { div, mod } = division(sizeOf(x!.shape));
    const text = `$0{${div("@", "#0")} * #1 + #2 + ${mod("@", "#0")}}`;
    return { text, uniforms, arrays: [0], indexed: true, fours: uniforms.every((n) => n % 4 === 0) };
  },
};

/** The gradient of a slice: a tensor at its place along an axis of `length`, zeros before and behind it. */
const unsliceOp: Op<{ axis: number; start: number; length: number }> = {
  name: "unslice",
  infer: ([x], { axis, length }) => [{ shape: x!.shape.with(axis, length), dtype: x!.dtype }],
  vjp: (node, [ct]) => {
    const { axis, start } = node.attrs;
    return [slice(ct!, axis, start, start + node.inputs[0]!.shape[axis]!)];
  },
  batch: ([x], attrs) => [apply(unsliceOp, [x!], { ...attrs, axis: attrs.axis + 1 })],
  expression: ({ axis, start, length }, [x]) => {
    const inner = sizeOf(x!.shape.slice(axis + 1)), size = sizeOf(x!.shape), columns = x!.shape[axis]! * inner;
    const uniforms = [columns, length * inner, start * inner, size - 1];
    const { div, mod } = division(size / columns * length * inner);
    const zero = { f32: "V(0)", f16: "V(0)", i32: "I(0)", u32: "U(0)" };
    const element = `$0{min(${div("@", "#1")} * #0 + ${mod("@", "#1")} - #2, #3)}`;
    const inside = "index_along(@, 1u, #1) - U(#2) < U(#0)";
    return {
      text: `select(${zero[x!.dtype]}, ${element}, ${inside})`,
      uniforms,
      arrays: [0],
      indexed: true,
      fours: uniforms.slice(0, 3).every((n) => n % 4 === 0),
    };
  },
};

const viewSliceOp: Op<SliceAttrs> = {
  ...sliceOp,
  view: (node) => ({ input: 0, offset: node.attrs.start * sizeOf(node.inputs[0]!.shape.slice(node.attrs.axis + 1)) }),
};

/** The elements [start, end) along an axis (negative: from the end). A view where they are contiguous (all axes before it are 1). */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  axis = checkAxis("slice", axis, x.shape.length);
  if (start === 0 && end === x.shape[axis]) return x;
  const contiguous = isContiguous(x.shape, axis), op = x.dtype === "f16" ? halfSliceOp : wordSliceOp;
  return apply(contiguous ? viewSliceOp : op, [x], { axis, start, end });
}

/** Whether a range along an axis is a range in memory. */
function isContiguous(shape: readonly number[], axis: number): boolean {
  return sizeOf(shape.slice(0, axis)) === 1;
}

const splitOp: Op<{ parts: number }> = {
  name: "split",
  infer: ([x], { parts }) => {
    const [length = 0, ...rest] = x!.shape;
    if (length % parts !== 0 || length === 0) {
      throw new RangeError(
        `Cannot split [${x!.shape}]: its first axis must be a multiple of ${parts}: it is ${length}`,
      );
    }
    return Array.from({ length: parts }, () => ({ shape: [length / parts, ...rest], dtype: x!.dtype }));
  },
  vjp: ({ avals }, cts) => [concat(cts.map((ct, i) => ct ?? full(avals[i]!.shape, 0, avals[i]!.dtype)), 0)],
  batch: ([x], { parts }) => {
    const length = x!.shape[1]! / parts;
    return Array.from({ length: parts }, (_, i) => slice(x!, 1, i * length, (i + 1) * length));
  },
  view: ({ avals }, result) => ({ input: 0, offset: result * sizeOf(avals[0]!.shape) }),
};

/** Equal parts along the first axis. Views; their gradients are put together without a copy where that can be. */
export function split(x: Tensor, parts: number): Tensor[] {
  return applyAll(splitOp, [x], { parts });
}

const concatOp: Op<{ axis: number }> = {
  name: "concat",
  infer: (inputs, { axis }) => {
    const first = inputs[0];
    if (!first) throw new RangeError("Cannot concatenate: at least 1 tensor is needed: there is none");
    for (const x of inputs) {
      if (
        x.dtype !== first.dtype || x.shape.length !== first.shape.length ||
        !sameShape(x.shape.with(axis, 1), first.shape.with(axis, 1))
      ) {
        throw new RangeError(
          `Cannot concatenate along axis ${axis}: the other axes and the types must be equal: tensors are ${
            inputs.map(avalText).join(", ")
          }`,
        );
      }
    }
    return [{ shape: first.shape.with(axis, inputs.reduce((n, x) => n + x.shape[axis]!, 0)), dtype: first.dtype }];
  },
  vjp: (node, [ct]) => {
    let at = 0;
    return node.inputs.map((x) => slice(ct!, node.attrs.axis, at, at += x.shape[node.attrs.axis]!));
  },
  batch: (_, { axis }, batch) => [concat(batch.whole(), axis + 1)],
  lower: (ctx, node) => {
    const { axis } = node.attrs, shape = node.avals[0]!.shape;
    const inner = sizeOf(shape.slice(axis + 1)), rows = sizeOf(shape.slice(0, axis));
    let at = 0;
    node.inputs.forEach((x, i) => {
      const columns = x.shape[axis]! * inner;
      ctx.dispatch(copyRows("concat", ctx.inputs[i]!, ctx.outputs[0]!, {
        rows,
        columns,
        fromStride: columns,
        fromOffset: 0,
        toStride: shape[axis]! * inner,
        toOffset: at,
      }));
      at += columns;
    });
  },
};

/** Concatenation whose inputs are contiguous parts of the result: they are computed in place where they can be. */
const contiguousConcatOp: Op<{ axis: number }> = {
  ...concatOp,
  packs: (node) => {
    let at = 0;
    return node.inputs.map((x) => (at += x.size) - x.size);
  },
};

/** Tensors one after the other along an axis (negative: from the end). */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  if (tensors[0]) axis = checkAxis("concat", axis, tensors[0].shape.length);
  if (tensors.length === 1) return tensors[0]!;
  const contiguous = tensors[0] !== undefined && sizeOf(tensors[0].shape.slice(0, axis)) === 1;
  return apply(contiguous ? contiguousConcatOp : concatOp, tensors, { axis });
}

const packOp: Op<{ offsets: readonly number[]; size: number }> = {
  name: "pack",
  infer: (inputs, { size }) => [{ shape: [size], dtype: inputs[0]!.dtype }],
  vjp: (node, [ct]) =>
    node.inputs.map((x, i) => {
      const from = node.attrs.offsets[i]!;
      return reshape(slice(ct!, 0, from, from + x.size), x.shape);
    }),
  batch: (_, { offsets, size }, batch) => {
    const parts: Tensor[] = [];
    let at = 0;
    const fill = (to: number) => to > at && parts.push(full([batch.size, to - at], 0, parts[0]?.dtype ?? "f32"));
    for (const [i, x] of batch.whole().entries()) {
      fill(offsets[i]!);
      parts.push(reshape(x, [batch.size, x.size / batch.size]));
      at = offsets[i]! + x.size / batch.size;
    }
    fill(size);
    return [concat(parts, 1)];
  },
  packs: (node) => node.attrs.offsets,
};

/** A flat tensor of `size` elements holding each tensor at its offset (in elements, rising) and 0 in the gaps. */
export function pack(tensors: readonly Tensor[], offsets: readonly number[], size: number): Tensor {
  return apply(packOp, tensors, { offsets, size });
}

/** Tensors of one shape stacked along a new axis, which is the axis `axis` of the result (negative: from the end). */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  const at = tensors[0] ? checkAxis("stack", axis, tensors[0].shape.length + 1) : 0;
  return concat(tensors.map((t) => reshape(t, t.shape.toSpliced(at, 0, 1))), at);
}

function avalText(a: Aval): string {
  return `${a.dtype}[${a.shape}]`;
}

interface CustomAttrs {
  readonly results: number;
  readonly backward: (
    args: readonly Tensor[],
    results: readonly Tensor[],
    cotangents: readonly (Tensor | null)[],
  ) => (Tensor | null)[];
}

const customOp: Op<CustomAttrs> = {
  name: "customVjp",
  infer: (inputs, { results }) => inputs.slice(0, results).map(({ shape, dtype }) => ({ shape, dtype })),
  vjp: (node: Node<CustomAttrs>, cotangents) => {
    const { results, backward } = node.attrs;
    const outs = node.avals.map((_, i) => new Tensor(node as Node, i));
    const grads = backward(node.inputs.slice(results), outs, cotangents);
    return [...outs.map(() => null), ...grads];
  },
  batch: (_, { results, backward }, batch) => {
    const whole = batch.whole();
    return withBackward(whole.slice(0, results), whole.slice(results), (args, outs, cotangents) => {
      const given = cotangents.flatMap((ct) => ct ? [ct] : []);
      const ofExample = (...all: Tensor[]): (Tensor | null)[] => {
        const own = all.slice(args.length + results);
        const cts = cotangents.map((ct) => ct ? own.shift()! : null);
        return backward(all.slice(0, args.length), all.slice(args.length, args.length + results), cts);
      };
      return batch.map(ofExample, [...args, ...outs, ...given]);
    });
  },
  view: (_, result) => ({ input: result, offset: 0 }),
};

/** Results whose gradient with respect to `args` is what `backward` says (the ground of `customVjp` and `checkpoint`). */
export function withBackward(
  results: readonly Tensor[],
  args: readonly Tensor[],
  backward: CustomAttrs["backward"],
): Tensor[] {
  const node = new Node(customOp, [...results, ...args], { results: results.length, backward }) as unknown as Node;
  return results.map((_, i) => new Tensor(node, i));
}
