/**
 * Images as rows of patches, for a patch embedding by matrix product.
 *
 * @module
 */
import source from "../../kernels/patchify_bytes.wgsl" with { type: "text" };
import { apply, type Aval, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { firstAxis } from "./_batch.ts";
import { ANY_TYPE, checkInput } from "./_check.ts";
import { flatKernel } from "./_rows.ts";
import { reshape } from "./shape.ts";
import { transpose } from "./transpose.ts";

/** A colour: red, green, blue. */
export type Rgb = readonly [number, number, number];

/** How {@linkcode patchifyBytes} reads images. */
export interface PatchifyBytesOptions {
  /** Lines of an image, a multiple of `patch`. */
  readonly height: number;
  /** Pixels of a line, a multiple of `patch`. */
  readonly width: number;
  /** Side of a patch. */
  readonly patch: number;
  /** Subtracted from byte / 255. */
  readonly mean: Rgb;
  /** Standard deviation by which the difference is divided. */
  readonly std: Rgb;
}

function checkPatch(name: string, height: number, width: number, patch: number): void {
  if (!Number.isInteger(patch) || patch < 1 || height % patch !== 0 || width % patch !== 0) {
    throw new RangeError(
      `Cannot apply ${name}: height and width must be multiples of the patch ${patch}: they are ${height} and ${width}`,
    );
  }
}

/** Packed bytes [batch, height * width * 3 / 4] to patches [batch, tokens, 3 * patch * patch]. */
export const patchifyBytesOp: Op<PatchifyBytesOptions> = {
  name: "patchifyBytes",
  batch: firstAxis,
  infer([images], { height, width, patch }): Aval[] {
    checkPatch("patchifyBytes", height, width, patch);
    const bytes = height * width * 3;
    if (bytes % 4 !== 0) {
      throw new RangeError(`Cannot apply patchifyBytes: an image must be whole 32-bit words: it is ${bytes} bytes`);
    }
    checkInput("patchifyBytes", "images", images, "u32", ["batch", bytes / 4]);
    return [{ shape: [images!.shape[0]!, height * width / patch ** 2, 3 * patch ** 2], dtype: "f32" }];
  },
  lower(ctx, { avals: [out], attrs: { height, width, patch, mean, std } }): void {
    const vector = patch % 4 === 0;
    const kernel = flatKernel("patchifyBytes", source, { device: ctx.device, consts: { VECTOR: vector } });
    const count = sizeOf(out!.shape) / 3 / (vector ? 4 : 1);
    const u = { count, height, width, side: patch, mean, deviation: std };
    ctx.dispatch(kernel.over(count, { images: ctx.inputs[0], y: ctx.outputs[0], u }));
  },
  vjp: () => [null],
};

/**
 * Images as patches: [batch, height/patch * width/patch, 3 * patch * patch], tokens line by line, features in the order
 * (channel, row, column), so that a convolution's weight [out, 3, patch, patch] as [out, 3 * patch * patch] multiplies them.
 *
 * @param images f32 [batch, channels, height, width].
 * @param patch Side of a patch; height and width must be multiples of it.
 */
export function patchify(images: Tensor, patch: number): Tensor {
  checkInput("patchify", "images", images, ANY_TYPE, ["batch", "channels", "height", "width"]);
  const [batch, channels, height, width] = images.shape as [number, number, number, number];
  checkPatch("patchify", height, width, patch);
  const split = reshape(images, [batch, channels, height / patch, patch, width / patch, patch]);
  const tokens = height * width / patch ** 2;
  return reshape(transpose(split, [0, 2, 4, 1, 3, 5]), [batch, tokens, channels * patch ** 2]);
}

/**
 * {@linkcode patchify} of 8-bit images, normalised: `(byte / 255 - mean) / std` by channel. No gradient flows.
 *
 * @param images u32 [batch, height * width * 3 / 4]: bytes in the order (line, pixel, channel), the first in the low bits.
 */
export function patchifyBytes(images: Tensor, options: PatchifyBytesOptions): Tensor {
  const kinds = { height: "one", width: "one", patch: "one", mean: "list", std: "list" } as const;
  return apply(patchifyBytesOp, [images], checkOptions("patchifyBytes", options, kinds));
}
