/**
 * Rows of a ring buffer replaced, for queues that live on the GPU.
 *
 * @module
 */
import source from "../../kernels/ring_update.wgsl" with { type: "text" };
import { apply, type Aval, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import { checkInput } from "./_check.ts";
import { flatKernel, widthOf } from "./_rows.ts";

/** (target, rows, start) to target with its rows replaced; writes only those where result and target share memory. */
export const ringUpdateOp: Op<void> = {
  name: "ringUpdate",
  inPlace: [[0, 0]],
  infer([target, rows, start]): Aval[] {
    checkInput("ringUpdate", "the target", target, ["f32", "i32", "u32"], ["length", "..."]);
    checkInput("ringUpdate", "the rows", rows, target!.dtype, ["count", ...target!.shape.slice(1)]);
    checkInput("ringUpdate", "start", start, "u32", [1]);
    const [count] = rows!.shape;
    if (count! > target!.shape[0]!) {
      throw new RangeError(
        `Cannot apply ringUpdate: there must be at most as many rows as the target's ${
          target!.shape[0]
        }: there are ${count}`,
      );
    }
    return [{ shape: target!.shape, dtype: target!.dtype }];
  },
  lower(ctx, { inputs: [target, rows] }): void {
    const [before, from, start] = ctx.inputs;
    const out = ctx.outputs[0]!;
    const inPlace = out.value === before!.value && out.offset === before!.offset;
    const words = sizeOf(target!.shape.slice(1));
    const width = widthOf(words);
    const consts = { VECTOR: width === 4, IN_PLACE: inPlace };
    const kernel = flatKernel(`ringUpdate/${inPlace ? "in place" : "copy"}`, source, { device: ctx.device, consts });
    const count = sizeOf((inPlace ? rows! : target!).shape) / width;
    const u = { count, words: words / width, length: target!.shape[0]!, rows: rows!.shape[0]! };
    ctx.dispatch(kernel.over(count, { y: out, rows: from, start, u, before: inPlace ? undefined : before }));
  },
};

/**
 * `target` with rows (start + n) mod length replaced by `rows[n]`. Where the target is donated, only those rows are
 * written. No gradient rule.
 *
 * @param target [length, ...rest], 32-bit elements.
 * @param rows [count, ...rest], count <= length, of the same type.
 * @param start u32 [1].
 */
export function ringUpdate(target: Tensor, rows: Tensor, start: Tensor): Tensor {
  return apply(ringUpdateOp, [target, rows, start], undefined);
}
