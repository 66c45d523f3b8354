/**
 * Cumulative sums and products along an axis. Long lines are cut into chunks that run side by side.
 *
 * The gradients of products are recurrences, h[i] = a[i] * h[i + 1] + b[i], which {@linkcode linearScan} computes and whose
 * gradients are recurrences again: nothing is divided by an element, so zeros are as good as other numbers.
 *
 * @module
 */
import carriesKernel from "../../kernels/scan_carries.wgsl" with { type: "text" };
import scanKernel from "../../kernels/scan.wgsl" with { type: "text" };
import { apply, type Node, type Op, sizeOf, Tensor } from "../program/graph.ts";
import type { BufferRef, Lowering } from "../program/lowering.ts";
import { checkOptions } from "../program/options.ts";
import { type BatchRule, nextAxis } from "./_batch.ts";
import { checkAxis, checkInput, FLOATS } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { flatKernel } from "./_rows.ts";
import { type ScanKind, scanStates } from "./_scan_states.ts";
import { add, clamp, exp, minimum, multiply, subtract } from "./elementwise.ts";
import { columnChunks } from "./reduce.ts";

/** Options of the cumulative ops. */
export interface ScanOptions {
  /** The axis along which to go, negative ones from the end. Default -1. */
  readonly axis?: number;
  /** Leave an element's own value out of its result. Default false. */
  readonly exclusive?: boolean;
  /** From the last element to the first. Default false. */
  readonly reverse?: boolean;
}

type Attrs = Required<ScanOptions>;

function define(
  name: ScanKind,
  accepted: Parameters<typeof checkInput>[3],
  vjp: (node: Node<Attrs>, ct: Tensor, y: Tensor) => Tensor[],
): Op<Attrs> {
  return {
    name,
    infer(inputs) {
      for (const x of inputs) checkInput(name, "the input", x, accepted, inputs[0]!.shape);
      return [{ shape: inputs[0]!.shape, dtype: inputs[0]!.dtype }];
    },
    lower: (ctx, node) => lowerScan(name, ctx, node),
    batch: nextAxis as BatchRule<Attrs>,
    vjp: (node, [ct]) => vjp(node, ct!, new Tensor(node as Node)),
  };
}

function lowerScan(kind: ScanKind, ctx: Lowering, { inputs: [x], attrs }: Node<Attrs>): void {
  const { shape } = x!, { axis, exclusive: EXCLUSIVE, reverse: REVERSE } = attrs;
  const outer = sizeOf(shape.slice(0, axis)), length = shape[axis]!, inner = sizeOf(shape.slice(axis + 1));
  const { states, stateAt, bytes } = scanStates(kind, x!.dtype), [xRef, b] = ctx.inputs, lines = outer * inner;
  // Not so many chunks that one thread, which takes them together, has more to do than those of the chunks.
  const most = Math.min(columnChunks(ctx, lines, length), Math.ceil(Math.sqrt(length)));
  const chunk = Math.ceil(length / Math.max(most, Math.ceil(length / LONGEST_CHUNK)));
  const chunks = Math.ceil(length / chunk), u = { count: lines * chunks, length, inner, chunk, chunks };
  const run = (stage: string, flags: Record<string, boolean>, buffers: Record<string, BufferRef>): void => {
    const options = {
      device: ctx.device,
      loops: true,
      consts: { REVERSE, ...flags },
      hooks: { states: `${states}\n${stateAt}` },
    };
    ctx.dispatch(flatKernel(`${kind}${stage}`, scanKernel, options).over(u.count, { x: xRef, b, ...buffers, u }));
  };
  if (chunks === 1) return run("", { EXCLUSIVE }, { y: ctx.outputs[0]! });
  const carries = ctx.scratch(u.count * bytes);
  run("/totals", { TOTALS: true }, { carries });
  const kernel = flatKernel(`${kind}/carries`, carriesKernel, { device: ctx.device, loops: true, hooks: { states } });
  ctx.dispatch(kernel.over(lines, { carries, u: { count: lines, inner, chunks } }));
  run("/chunks", { CARRIED: true, EXCLUSIVE }, { carries, y: ctx.outputs[0]! });
}

/** Elements of a chunk at most: below the turns that a thread may loop. */
const LONGEST_CHUNK = 16_384;

const cumsumOp = define("cumsum", ["f32", "i32", "u32"], ({ attrs }, ct) => [
  apply(cumsumOp, [ct], { ...attrs, reverse: !attrs.reverse }),
]);

/** h[i] = a[i] * h[i - 1] + b[i] from h[-1] = 0 on, before each element: result i is h[i - 1]. Always exclusive. */
const linearScanOp = define("linearScan", "f32", ({ inputs: [a], attrs }, ct, y) => {
  const total = linearScan(a!, ct, { ...attrs, reverse: !attrs.reverse });
  return [multiply(total, y), total];
});

/** The exclusive recurrence of `linearScanOp`, of a and b of one shape. */
export function linearScan(a: Tensor, b: Tensor, attrs: Attrs): Tensor {
  return apply(linearScanOp, [a, b], { ...attrs, exclusive: true });
}

/**
 * Of each element: the cotangents of all results that it is in, each times the factors between the two. Results are those
 * of an exclusive or an inclusive scan.
 */
function gathered(factors: Tensor, ct: Tensor, attrs: Attrs): Tensor {
  const back = { ...attrs, reverse: !attrs.reverse };
  return attrs.exclusive ? linearScan(factors, ct, back) : add(ct, linearScan(factors, multiply(factors, ct), back));
}

const cumprodOp = define("cumprod", "f32", ({ inputs: [x], attrs }, ct) => {
  const before = apply(cumprodOp, [x!], { ...attrs, exclusive: true });
  return [multiply(before, gathered(x!, ct, attrs))];
});

/** What takes the place of infinities, so that their differences are numbers. */
const LARGE = 3.4e38;

const logCumsumExpOp = define("logCumsumExp", "f32", ({ inputs: [x], attrs }, ct) => {
  const [before, after] = [true, false].map((exclusive) =>
    clamp(apply(logCumsumExpOp, [x!], { ...attrs, exclusive }), -LARGE, LARGE)
  );
  const share = exp(subtract(minimum(x!, LARGE), after!)); // that of -Infinity is 0, even where it is alone
  return [multiply(share, gathered(exp(subtract(before!, after!)), ct, attrs))];
});

function scan(op: Op<Attrs>, x: Tensor, options: ScanOptions): Tensor {
  const kinds = { axis: "one", exclusive: "one", reverse: "one" } as const;
  const { axis = -1, exclusive = false, reverse = false } = checkOptions(op.name, options, kinds);
  const at = checkAxis(op.name, axis, x.shape.length);
  return apply(op, [asF32(x)], { axis: at, exclusive, reverse });
}

/**
 * Sums of the elements up to each along an axis (default: the last): y[i] = x[0] + ... + x[i]. Exclusive: without x[i],
 * beginning with 0; reverse: from the end. Results are the same in every run; sums of integers are exact, modulo 2^32.
 *
 * @param x f32, f16 (the result is f32), i32 or u32, of at least one axis.
 */
export function cumsum(x: Tensor, options: ScanOptions = {}): Tensor {
  return scan(cumsumOp, x, options);
}

/**
 * Products of the elements up to each along an axis (default: the last); exclusive ones begin with 1. Partial products may
 * leave the range of f32 and come back. The gradient is exact where elements are 0.
 *
 * @param x f32 or f16 (the result is f32), of at least one axis.
 */
export function cumprod(x: Tensor, options: ScanOptions = {}): Tensor {
  checkInput("cumprod", "the input", x, FLOATS);
  return scan(cumprodOp, x, options);
}

/**
 * log(e^x[0] + ... + e^x[i]) along an axis (default: the last), whatever the size of the elements; exclusive ones begin with
 * -Infinity. The gradient by an element of -Infinity is 0.
 *
 * @param x f32 or f16 (the result is f32), of at least one axis.
 */
export function logCumsumExp(x: Tensor, options: ScanOptions = {}): Tensor {
  checkInput("logCumsumExp", "the input", x, FLOATS);
  return scan(logCumsumExpOp, x, options);
}

/** The ops, for tests of a single kernel. */
export const scanOps: Readonly<Record<ScanKind, Op<Attrs>>> = {
  cumsum: cumsumOp,
  cumprod: cumprodOp,
  logCumsumExp: logCumsumExpOp,
  linearScan: linearScanOp,
};
