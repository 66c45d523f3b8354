/**
 * Names in checkpoints of ALBEF, GRIT-VLP and models that were made like them (TCL, BLIP).
 *
 * @module
 */

import { type NameRule, type NameTable, POSITION_IDS, TIED_DECODER, WRAPPERS } from "./names.ts";

const IGNORED: NameTable["ignored"] = [
  POSITION_IDS,
  { theirs: "*_queue", reason: "queues of features are filled anew" },
  { theirs: "queue_ptr", reason: "queues of features are filled anew" },
  { theirs: "ptr_queue", reason: "queues of features are filled anew" },
  { theirs: "*_m.*", reason: "the model has no momentum copy" },
];

/** `text_encoder.bert.` in pre-training, `text_encoder.` in fine-tuning and in BLIP. */
const TEXT_ENCODERS = ["text_encoder.bert.", "text_encoder."];

function albefTable(title: string, first: readonly NameRule[], tied: NameTable["tied"] = []): NameTable {
  const rules: NameRule[] = [
    ...first,
    { ours: "*", theirs: "*" },
    { ours: "text_encoder.bert.*", theirs: "text_encoder.*" },
    { ours: "text_encoder.*", theirs: "text_encoder.bert.*" },
  ];
  return { title, rules, ignored: IGNORED, tied: [...TIED_DECODER, ...tied], wrappers: WRAPPERS };
}

/**
 * Checkpoints of ALBEF, GRIT-VLP, TCL and BLIP: our own names, perhaps with `module.` and the like in front. `bert.` may be there or not, since pre-training has it and fine-tuning
 * has not. Momentum copies and queues are taken when the model has them and ignored otherwise; the decoder that is
 * tied to the word embeddings is dropped when it equals them.
 */
export function albefNames(): NameTable {
  return albefTable("ALBEF", []);
}

/**
 * A pre-training checkpoint as the start of visual question answering: the answer decoder begins as the fusion layers, the
 * embeddings and the masked language head of the text encoder.
 *
 * @param fusionLayer The first fusion layer of the checkpoint.
 */
export function albefNamesForAnswers(fusionLayer = 6): NameTable {
  return albefTable("ALBEF for question answering", [
    {
      ours: "text_decoder.bert.encoder.layer.*.*",
      theirs: "text_encoder.bert.encoder.layer.*.*",
      layer: (ours) => ours + fusionLayer,
    },
    { ours: "text_decoder.bert.embeddings.*", theirs: "text_encoder.bert.embeddings.*" },
    { ours: "text_decoder.cls.*", theirs: "text_encoder.cls.*" },
  ]);
}

/**
 * A pre-training checkpoint as the start of reasoning over two images (NLVR2): each fusion layer becomes two, one for each
 * image.
 *
 * @param fusionLayer The first fusion layer, of the checkpoint and of the model.
 */
export function albefNamesForTwoImages(fusionLayer = 6): NameTable {
  const pair = (ours: number) => ours < fusionLayer ? ours : fusionLayer + Math.floor((ours - fusionLayer) / 2);
  const rules = TEXT_ENCODERS.map((theirs): NameRule => {
    return { ours: "text_encoder.encoder.layer.*.*", theirs: `${theirs}encoder.layer.*.*`, layer: pair };
  });
  return albefTable("ALBEF for two images", rules);
}

/**
 * A checkpoint of two images (NLVR2), fine-tuned or pre-trained by text assignment: our own names. Of the keys and values that the two
 * layers of a pair share it has two copies.
 *
 * @param fusionLayer The first fusion layer.
 * @param layers Layers of the checkpoint, all of them counted.
 */
export function albefNamesOfTwoImages(fusionLayer = 6, layers = 18): NameTable {
  const tied = [];
  for (let second = fusionLayer + 1; second < layers; second += 2) {
    for (const part of ["key", "value"]) {
      const name = (layer: number): string => `text_encoder.*encoder.layer.${layer}.crossattention.self.${part}.*`;
      tied.push({ theirs: name(second), equals: name(second - 1) });
    }
  }
  return albefTable("ALBEF of two images", [], tied);
}
