/**
 * A data set of expressions on disk as something to ground.
 *
 * @module
 */
import { cleanCaption } from "../data/captions.ts";
import type { Box, ExpressionDataset } from "../data/expressions.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { GridSize } from "../io/bicubic.ts";
import { imagesOnDisk, type NumberedImage } from "./_images.ts";
import type { GroundedText } from "./grounding.ts";
import type { GroundingSet } from "./grounding_evaluator.ts";

/** How expressions are taken. */
export interface GroundingSetOptions {
  /** Side of the images as the model takes them, pixels. */
  readonly resolution: number;
  /** Tokens per expression; longer ones are truncated. */
  readonly maxLength: number;
  /** Boxes to choose among, by the id of the image. Without them only pointing is scored. */
  readonly detections?: ReadonlyMap<string, readonly Box[]>;
  /** Expressions that are taken, the first ones. Default: all. */
  readonly expressions?: number;
}

/**
 * Expressions with their images and boxes; of the images only sizes are read now.
 *
 * @throws {Error} If an expression has no box, or an image cannot be read.
 */
export async function groundingSet(
  dataset: ExpressionDataset,
  tokenizer: Tokenizer,
  { resolution, maxLength, detections, expressions = Infinity }: GroundingSetOptions,
): Promise<GroundingSet> {
  const images: SizedImage[] = [], known = new Map<string, number>();
  const texts: string[] = [], imageOf: number[] = [], grounded: GroundedText[] = [];
  for (let index = 0; index < Math.min(dataset.length, expressions); index++) {
    const { images: [{ path }], text, imageId, box, split = "all" } = dataset.entry(index);
    if (!box) throw new Error(`Cannot score expression ${index} of "${dataset.name}": it must have a box: it has none`);
    if (!known.has(path)) known.set(path, images.push({ path, index, size: await sizeOf(path, index) }) - 1);
    const place = known.get(path)!;
    texts.push(cleanCaption(text));
    imageOf.push(place);
    grounded.push({ size: images[place]!.size, box, split, detections: detections?.get(imageId) ?? [] });
  }
  const { ids, mask } = tokenizer.encodeBatch(texts, maxLength);
  return { images: imagesOnDisk(images, resolution), texts: { ids, mask, length: maxLength }, imageOf, grounded };
}

type SizedImage = NumberedImage & { readonly size: GridSize };

async function sizeOf(path: string, index: number): Promise<GridSize> {
  // Not at import: the decoder is native code, which who only trains on tensors need not permit.
  const { imageSize } = await import("../data/images.ts");
  try {
    return await imageSize(path);
  } catch (error) {
    throw new Error(`Cannot evaluate on image ${index}, "${path}": it ${(error as Error).message}`);
  }
}
