/**
 * Latent compression learning (Yang et al. 2024, section 3): a language model on interleaved texts and images whose state before an image is
 * contrasted with the image, beside the next token. The paper trains an encoder from nothing by it.
 *
 * @module
 */
import { imageContexts, latentCompressionLoss } from "../losses/latent_compression.ts";
import { nextTokenLoss } from "../losses/next_token.ts";
import { total } from "../losses/total.ts";
import { TEMPERATURE, TEMPERATURE_BOUNDS } from "../models/albef.ts";
import { decoderStates } from "../models/decoder.ts";
import type { DecoderBatch } from "../data/sequences/decoder_batch.ts";
import { embedImages, imageTokenCount, spliceImages, type VisionLanguageSpec } from "../models/vision_language.ts";
import { type AffineSpec, linear, linearSpec } from "../nn/layers.ts";
import { Spec } from "../nn/spec.ts";
import { mean } from "../ops/reduce.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { number } from "../settings/kinds.ts";
import type { NoExtra, Objective } from "../train/task.ts";
import { lm, lmFields, type LmSetup } from "./lm.ts";
import type { Recipe } from "./recipe.ts";

/** Its settings: those of `lm`, and the weight of the contrast. @internal */
export const lclFields = fields({
  ...lmFields,
  contrast: number(0.1, "weight of the contrast of contexts and images", { min: 0, paper: "0.1 (official script)" }),
});

/** The language model with what contexts and images meet in. */
export type LclSpec = VisionLanguageSpec & { context_proj: AffineSpec; image_proj: AffineSpec; temp: Spec };

/** The recipe. An image is pooled as the mean of its tokens; the paper pools by attention. */
export const lcl: Recipe<typeof lclFields, Objective<LclSpec, NoExtra, DecoderBatch>, LmSetup> = {
  title: "latent compression: a language model that also foretells its images",
  fields: lclFields,
  objective(setup, given) {
    const { contrast, zLoss, freeze } = withDefaults(lclFields, given), { config: { image, decoder }, remat } = setup;
    if (!image || !setup.images) {
      throw new RangeError(
        "Cannot contrast contexts and images: the model must have an image prefix and mini-batches images",
      );
    }
    const base = lm.objective(setup, { zLoss, freeze }), { width } = decoder, count = setup.images;
    const projection = () => linearSpec(width, width, { normal: 1 / Math.sqrt(width), truncated: true });
    const places = { imageToken: image.imageToken, patches: imageTokenCount(image), count };
    return {
      ...base,
      spec: {
        ...base.spec,
        context_proj: projection(),
        image_proj: projection(),
        temp: new Spec([], { constant: TEMPERATURE }),
      },
      bounds: { temp: TEMPERATURE_BOUNDS },
      loss(p, _, input) {
        const { model } = p.llm_backbone.llm, seen = embedImages(p, input.images!, image, { remat: remat ?? false });
        const states = decoderStates(model, spliceImages(model, input.tokens, seen, image.imageToken), input, {
          config: decoder,
          remat: remat ?? false,
        });
        const { crossEntropy, z, tokens } = nextTokenLoss(model, states, input);
        const contexts = imageContexts(states, input, places);
        const { loss, terms } = total({
          crossEntropy: () => crossEntropy,
          z: () => z,
          contrast: () =>
            latentCompressionLoss(
              linear(p.context_proj, contexts.states),
              linear(p.image_proj, mean(seen, { axes: [1] })),
              contexts,
              p.temp,
            ),
        }, { z: zLoss, contrast });
        return { loss, metrics: { ...terms, tokens } };
      },
    };
  },
};
