/**
 * SigLIP (Zhai et al. 2023): two encoders and nothing else, trained by a sigmoid for every image with every text of the mini-batch.
 *
 * @module
 */
import { type PairBatch, pairCollate } from "../data/pair_collate.ts";
import { encodeImage, encodePairs, encodeText, imagePatches, type PairFeatures } from "../models/albef.ts";
import { type BertSpec, bertSpec } from "../models/bert.ts";
import { type VitSpec, vitSpec } from "../models/vit.ts";
import { type AffineSpec, defaultLinearSpec } from "../nn/layers.ts";
import { predicted, weighed } from "../nn/attack.ts";
import { Spec } from "../nn/spec.ts";
import { abs, add, equal, exp, log, maximum, multiply, negate, subtract } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { matmul } from "../ops/matmul.ts";
import { sum } from "../ops/reduce.ts";
import { concat, reshape, stopGradient } from "../ops/shape.ts";
import { officialDecay } from "../optim/layout.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { number } from "../settings/kinds.ts";
import type { NoExtra } from "../train/task.ts";
import { type PairRecipe, patched } from "./recipe.ts";

/** Its settings. @internal */
export const siglipFields = fields({
  scale: number(10, "factor of the cosines at the start, t", { above: 0, paper: "10" }),
  bias: number(-10, "added to the logits at the start, b: most pairs do not belong together", { paper: "-10" }),
});

/** Parameters: ALBEF's encoders up to the fusion, under its names, and the two numbers of the loss. */
export type SiglipSpec = {
  visual_encoder: VitSpec;
  text_encoder: Pick<BertSpec, "bert">;
  vision_proj: AffineSpec;
  text_proj: AffineSpec;
  /** log t. */
  logit_scale: Spec;
  logit_bias: Spec;
};

/**
 * Algorithm 1: the sum over all N * N pairs of -log sigmoid(+-(t cos + b)), plus for pairs of one image (ids u32 [N]), divided by N.
 * Features [N, d] of length 1; log t and b scalars.
 */
export function sigmoidLoss({ image, text }: PairFeatures, logScale: Tensor, bias: Tensor, imageIds: Tensor): Tensor {
  const n = image.shape[0]!;
  const logits = add(multiply(matmul(image, text, { transposeB: true }), exp(logScale)), bias); // [N, N]
  weighed(n, () => predicted(concat([reshape(logits, [n * n, 1]), full([n * n, 1], 0)], 1))); // each pair is one of two classes
  const same = equal(reshape(imageIds, [n, 1]), reshape(imageIds, [1, n]));
  const z = multiply(logits, subtract(multiply(same, 2), 1));
  const losses = add(maximum(negate(z), 0), log(add(exp(negate(abs(z))), 1))); // log(1 + e^-z) without overflow
  return multiply(sum(losses), 1 / n);
}

/** The recipe. */
export const siglip: PairRecipe<typeof siglipFields, SiglipSpec, NoExtra, PairBatch> = {
  title: "SigLIP: two encoders, a sigmoid for every pair",
  fields: siglipFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false }, given) {
    const { scale, bias } = withDefaults(siglipFields, given);
    const collate = pairCollate({ view, maxLength: textLength, tokenizer }), { vision, text, embedding } = config;
    return {
      spec: {
        visual_encoder: vitSpec(vision),
        text_encoder: { bert: bertSpec({ ...text, layers: text.fusionLayer }).bert },
        vision_proj: defaultLinearSpec(vision.width, embedding),
        text_proj: defaultLinearSpec(text.width, embedding),
        logit_scale: new Spec([], { constant: Math.log(scale) }),
        logit_bias: new Spec([], { constant: bias }),
      },
      // As in the authors' code: the two numbers of the loss do not decay.
      decays: (name, shape) => shape.length > 0 && officialDecay(name, shape),
      collate,
      input: collate.shapes(batch),
      model: {
        image: (p, images) => encodeImage(p, imagePatches(images, vision), { config }),
        text: (p, tokens) => encodeText(p, tokens, { config }),
      },
      loss(p, _, input, { key }) {
        const { features } = encodePairs(p, patched(input, config), { config, key, remat });
        const loss = sigmoidLoss(features, p.logit_scale, p.logit_bias, input.imageIds);
        return {
          loss,
          metrics: { scale: exp(p.logit_scale), bias: p.logit_bias },
          features: { image: stopGradient(features.image), text: stopGradient(features.text) },
        };
      },
    };
  },
};
