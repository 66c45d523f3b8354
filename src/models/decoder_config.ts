/**
 * Sizes of decoder language models.
 *
 * @module
 */

/** Sizes and choices of a decoder. */
export interface DecoderConfig {
  /** Number of token ids. */
  readonly vocabulary: number;
  /** Width of the hidden states; a multiple of `heads`, and twice a whole number times `heads`. */
  readonly width: number;
  /** Number of layers. */
  readonly layers: number;
  /** Attention heads of each layer. */
  readonly heads: number;
  /** Width of the hidden layer of the MLPs. Default: {@linkcode swigluWidth} */
  readonly hidden?: number;
  /** Positions of a document, which rotations are made for. */
  readonly maxPositions: number;
  /** Which norm stands before attention, MLP and head. @default "layer" */
  readonly norm?: "layer" | "rms";
  /** Whether LayerNorms have a bias. @default true */
  readonly normBias?: boolean;
  /** Whether queries and keys are normed, over the full width, before the cut into heads and the rotation. @default false */
  readonly qkNorm?: boolean;
  /** Whether the head is the table of the tokens. @default false */
  readonly tied?: boolean;
  /** Epsilon of the norms. @default 1e-5 */
  readonly eps?: number;
  /** Base of the rotations' angles. @default 10000 */
  readonly rotaryBase?: number;
}

/** The hidden width of SwiGLU at as many parameters as a plain MLP of 4 * width, rounded up to a multiple of 256 as in Llama and OpenLM. */
export function swigluWidth(width: number): number {
  return 256 * Math.ceil(Math.trunc(8 * width / 3) / 256);
}

/** GPT-NeoX's 50,277 tokens, rounded up as in OpenLM. */
const NEOX_VOCABULARY = 50_432;

/** LayerNorms without bias and normed queries and keys, as DCLM trained OpenLM. */
const openLm = { vocabulary: NEOX_VOCABULARY, maxPositions: 2048, normBias: false, qkNorm: true } as const;

/**
 * Named sizes. `79m` and `1.4b` are those of Keh et al. (2025), table 2, with OpenLM's choices; `tiny` and `small` are for tests and
 * laptops.
 */
export const decoderConfigs: Readonly<Record<"tiny" | "small" | "79m" | "1.4b", DecoderConfig>> = {
  tiny: {
    vocabulary: 512,
    width: 64,
    layers: 2,
    heads: 2,
    hidden: 192,
    maxPositions: 256,
    normBias: false,
    qkNorm: true,
  },
  small: { vocabulary: 2048, width: 192, layers: 4, heads: 4, maxPositions: 512, normBias: false, qkNorm: true },
  "79m": { ...openLm, width: 512, layers: 8, heads: 4 },
  "1.4b": { ...openLm, width: 2048, layers: 24, heads: 16 },
};
