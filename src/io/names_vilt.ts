/**
 * Names in checkpoints of ViLT.
 *
 * @module
 */
import { type NameTable, POSITION_IDS, WRAPPERS } from "./names.ts";

const head = (theirs: string): NameTable["ignored"][number] => ({
  theirs,
  reason: "heads of other tasks have no place",
});

/**
 * Checkpoints of ViLT, the `.ckpt` files of Lightning that its authors published or ones made from them: our own names, with or without
 * `state_dict.` or `module.` in front. Heads of fine-tuning and the ranking head, which training makes of ITM's, are ignored.
 */
export function viltNames(): NameTable {
  return {
    title: "ViLT",
    rules: [{ ours: "*", theirs: "*" }],
    ignored: [
      POSITION_IDS,
      ...["mpp_score.*", "rank_output.*", "vqa_classifier.*", "nlvr2_classifier.*", "img_classifier.*"].map(head),
    ],
    tied: [],
    wrappers: WRAPPERS,
  };
}
