/**
 * Retrieval with a ViLT: a dual encoder chooses, the ViLT ranks what was chosen.
 *
 * @module
 */
import { cast } from "../ops/elementwise.ts";
import { reshape } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { imagePatches, type PairModel } from "./albef.ts";
import { type Vilt, type ViltConfig, viltMatchLogits, viltStates } from "./vilt.ts";

/** Parameters of a dual encoder and of a ViLT. */
export type ShortlistedVilt<D> = {
  /** Of the dual encoder, whose features make the shortlists. */
  readonly dual: D;
  /** Of the ViLT, which scores their pairs. */
  readonly vilt: Vilt;
};

/**
 * A ViLT behind a dual encoder, for `RetrievalEvaluator`. Nothing of a text or an image can be computed before they meet: the "states" of a
 * text are its ids, those of an image its patches, and each pair takes a pass of the whole model. Ranking all M texts for all N images
 * would take N * M of them (Flickr30K's test: 5 million); shortlists of k take k * (N + M) at most.
 *
 * @param dual Sees the same images and ids, such as `albefPairs`.
 */
export function viltPairs<D>(
  config: ViltConfig,
  dual: Pick<PairModel<D>, "image" | "text">,
): PairModel<ShortlistedVilt<D>> & { readonly match: NonNullable<PairModel<ShortlistedVilt<D>>["match"]> } {
  return {
    image: ({ dual: p }, images) => ({
      states: imagePatches(images, config.vision),
      features: dual.image(p, images).features,
    }),
    text: ({ dual: p }, tokens) => ({
      states: reshape(cast(tokens.ids, "f32"), [...tokens.ids.shape, 1]), // exact: ids are below 2^24
      features: dual.text(p, tokens).features,
    }),
    match: ({ vilt: p }, text, mask, image) => {
      const ids = cast(reshape(text, mask.shape), "u32");
      return viltMatchLogits(p, viltStates(p, { ids, mask }, { patches: image as Tensor }, { config }));
    },
  };
}
