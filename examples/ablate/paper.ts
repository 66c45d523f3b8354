/**
 * The ablation tables of GRIT-VLP: Byun et al., "GRIT-VLP: Grouped Mini-batch Sampling for Efficient Vision and Language
 * Pre-training", ECCV 2022, https://arxiv.org/abs/2208.04060. Their figures are of COCO's 5,000 test images after fine-tuning,
 * pre-training of 20 epochs on 4M images. The numbers of Table 5 and Figure 4 are not at hand: what the text says of
 * their order is.
 *
 * @module
 */

/** Recall on COCO in percent, as the paper prints it. */
export interface PaperFigures {
  /** Text retrieval at 1, 5, 10: image queries. */
  readonly i2t: readonly [r1: number, r5: number, r10: number];
  /** Image retrieval at 1, 5, 10: text queries. */
  readonly t2i: readonly [r1: number, r5: number, r10: number];
  /** Accuracy on NLVR2's test-P. */
  readonly nlvr?: number;
  /** Accuracy on VQA v2's test-std. */
  readonly vqa?: number;
  /** Minutes of an epoch on four A100. */
  readonly minutesPerEpoch?: number;
}

/** What the paper says of two rows: `better` has the higher recall. */
export interface Claim {
  /** Key of the run that is better. */
  readonly better: string;
  /** Key of the run that it is compared with. */
  readonly than: string;
  /** What this shows. */
  readonly shows: string;
}

/** What the paper has on a table. */
export interface PaperTable {
  /** Where in the paper it is. */
  readonly source: string;
  /** Its figures by the key of the run; none where they are not at hand. */
  readonly figures: Readonly<Record<string, PaperFigures>>;
  /** Comparisons that the paper makes. */
  readonly claims: readonly Claim[];
}

const citation = "Byun et al., GRIT-VLP, ECCV 2022 (arXiv:2208.04060)";

/** ALBEF_Base and ALBEF_Base50, which several tables share. */
const base = { i2t: [73.8, 92.3, 96.5], t2i: [57.7, 82.5, 89.6], nlvr: 80.37 } as const;
const base50 = { i2t: [75.6, 93.2, 96.7], t2i: [58.8, 83.2, 90.1], nlvr: 80.54 } as const;

/** What the paper has, by the name of the table. */
export const paper: Readonly<Record<string, PaperTable>> = {
  "1": {
    source: `${citation}, Table 1, 20 epochs, 15 % masked`,
    figures: {
      "itm-random": { i2t: [66.5, 88.3, 94.0], t2i: [51.3, 78.3, 86.5], nlvr: 79.43 },
      "itm-random-itc": { i2t: [69.6, 90.9, 95.3], t2i: [53.8, 80.0, 87.8], nlvr: 79.43 },
      "itm-hard": { i2t: [72.0, 91.5, 96.6], t2i: [57.5, 81.2, 88.4], nlvr: 80.83 },
      "albef-base": base,
    },
    claims: [{ better: "itm-hard", than: "itm-random-itc", shows: "hard negatives matter more than ITC" }],
  },
  "2": {
    source: `${citation}, Table 2, 20 epochs`,
    figures: { "albef-base": base, "albef-base-50": base50 },
    claims: [],
  },
  "4": {
    source: `${citation}, Table 4, N 96, M 960, L 48,000, 20 epochs`,
    figures: {
      "albef-base": { ...base, vqa: 74.70, minutesPerEpoch: 147 },
      "albef-base-50": { ...base50, vqa: 75.07, minutesPerEpoch: 147 },
      "grit-50": { i2t: [76.4, 93.6, 96.7], t2i: [59.6, 83.3, 90.1], nlvr: 81.32, vqa: 75.14, minutesPerEpoch: 150 },
      "naive-50": { i2t: [76.8, 93.6, 96.8], t2i: [59.6, 83.4, 90.0], nlvr: 80.63, vqa: 75.16, minutesPerEpoch: 180 },
      "no-shuffle-50": {
        i2t: [74.7, 93.2, 96.6],
        t2i: [58.6, 82.8, 89.7],
        nlvr: 80.50,
        vqa: 75.06,
        minutesPerEpoch: 150,
      },
      "grit-cons-15": {
        i2t: [76.2, 93.4, 96.8],
        t2i: [59.0, 83.1, 90.1],
        nlvr: 81.21,
        vqa: 74.98,
        minutesPerEpoch: 150,
      },
      "grit-cons-50": {
        i2t: [77.1, 93.8, 97.0],
        t2i: [59.5, 83.4, 90.0],
        nlvr: 81.43,
        vqa: 75.30,
        minutesPerEpoch: 150,
      },
    },
    claims: [
      { better: "grit-50", than: "albef-base-50", shows: "grouping helps at the same masking" },
      { better: "grit-50", than: "no-shuffle-50", shows: "grouping needs the two shuffles" },
      { better: "grit-cons-50", than: "grit-cons-15", shows: "more masking helps with grouping too" },
    ],
  },
  "5": {
    source: `${citation}, Table 5; only the order of its rows is at hand`,
    figures: {},
    claims: [
      { better: "itc-queue", than: "itc", shows: "a queue helps a little" },
      { better: "itc-grit", than: "itc", shows: "grouping helps much" },
      { better: "itc-cons-grit", than: "itc", shows: "the best row" },
      { better: "itc-cons-grit", than: "itc-grit", shows: "consistency helps" },
    ],
  },
  "6": {
    source: `${citation}, Table 6; only the order of its rows is at hand`,
    figures: {},
    claims: [{ better: "tcl-grit-50", than: "tcl", shows: "grouping and more masking help TCL too" }],
  },
  mafa: {
    source: "Byun et al., MAFA, CVPR 2024 (arXiv:2312.06112); only the order is at hand",
    figures: {},
    claims: [{
      better: "mafa-50",
      than: "grit-cons-50",
      shows: "a judge of false negatives and smoothed targets help",
    }],
  },
  distillation: {
    source: "Li et al., ALBEF, NeurIPS 2021 (arXiv:2107.07651), section 3.3; only the order is at hand",
    figures: {},
    claims: [{ better: "albef", than: "albef-hard", shows: "soft targets help where captions are wrong" }],
  },
  figure4: {
    source:
      `${citation}, Figure 4; only the order of its curves is at hand: the model that masks 50 % uses the image ` +
      "more at every masking probability, most at 75 %",
    figures: {},
    claims: [],
  },
};

/** The mean of a row's six recalls, as mean recall is computed here. */
export function paperMean({ i2t, t2i }: PaperFigures): number {
  return [...i2t, ...t2i].reduce((sum, value) => sum + value, 0) / 6;
}

/** Whether the paper has a run above another by mean recall; undefined if it does not say. */
export function paperAbove({ figures, claims }: PaperTable, run: string, than: string): boolean | undefined {
  const a = figures[run], b = figures[than];
  if (a && b) return paperMean(a) === paperMean(b) ? undefined : paperMean(a) > paperMean(b);
  return claims.some((claim) => claim.better === run && claim.than === than) || undefined;
}
