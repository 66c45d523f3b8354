/**
 * What VILA varies (Lin et al. 2024, section 3): documents in which texts and images alternate, a freeze schedule, and texts alone among
 * the instructions.
 *
 * @module
 */
import {
  type CaptionDataset,
  interleavedSource,
  type MixPart,
  pairSource,
  type PairSourceOptions,
  Random,
  writeFileAtomic,
} from "../../mod.ts";

/** How a run differs from the usual one. */
export interface Variant {
  /** Share of texts without a picture among the tokens of instruction tuning; VILA's third finding. */
  readonly tuneText: number;
  /** What the images' share of a branch consists of: pictures with a caption, documents of several pictures, or half of each. */
  readonly imagesIn: "captions" | "interleaved" | "both";
  /** `vila`: the projector alone, then all but the encoder, also in tuning; `one`: what `--freeze` says, all the time. */
  readonly stages: "one" | "vila";
}

/** The experiment of Keh et al. */
export const usualVariant: Variant = { tuneText: 0, imagesIn: "captions", stages: "one" };

/** The fields in which a variant is not the usual one: lines of results leave out the others. */
export function unusual({ tuneText, imagesIn, stages }: Variant): Partial<Variant> {
  return {
    ...(tuneText ? { tuneText } : {}),
    ...(imagesIn !== usualVariant.imagesIn ? { imagesIn } : {}),
    ...(stages !== usualVariant.stages ? { stages } : {}),
  };
}

/** What is unusual, in words that follow a run's name; nothing where nothing is. */
export function variantWords({ tuneText, imagesIn, stages }: Partial<Variant>): string {
  return [
    ...(imagesIn ? [imagesIn === "both" ? "half interleaved" : imagesIn] : []),
    ...(stages ? [`stages of ${stages}`] : []),
    ...(tuneText ? [`${Number((100 * tuneText).toFixed(4))} % texts in tuning`] : []),
  ].map((words) => `, ${words}`).join("");
}

/** A part of a branch's steps. */
export interface Stage {
  readonly from: number;
  readonly to: number;
  /** Parts that stay as they are. */
  readonly freeze: readonly string[];
}

/** Share of a branch in which the projector is trained alone. Ours: VILA's is an epoch of LLaVA's pairs, far less than what follows. */
const ALONE = 0.1;

/** The stages of a branch; one of texts alone has no projector. */
export function branchStages(
  { share, stages }: { readonly share: number } & Partial<Variant>,
  steps: number,
  freeze: readonly string[],
): Stage[] {
  if (stages !== "vila" || !share) return [{ from: 0, to: steps, freeze: tuneFreeze({ stages }, freeze) }];
  const alone = Math.max(1, Math.round(ALONE * steps));
  return [
    { from: 0, to: alone, freeze: ["encoder", "decoder"] },
    { from: alone, to: steps, freeze: ["encoder"] },
  ];
}

/** What stays as it is in tuning. */
export function tuneFreeze({ stages }: { readonly stages?: string | undefined }, freeze: readonly string[]) {
  return stages === "vila" ? ["encoder"] : freeze;
}

/** Pictures of a document. */
export const INTERLEAVED_IMAGES = 2;

/** The images' part of a branch. */
export function imageParts(
  { share, imagesIn = usualVariant.imagesIn }: { readonly share: number } & Partial<Variant>,
  { pairs, interleaved }: { readonly pairs: CaptionDataset; readonly interleaved: string },
  options: PairSourceOptions,
): MixPart[] {
  const own = imagesIn === "both" ? share / 2 : share;
  return [
    ...(imagesIn === "interleaved" ? [] : [{ source: pairSource(pairs, { ...options, name: "pairs" }), share: own }]),
    ...(imagesIn === "captions" ? [] : [{
      source: interleavedSource({ data: [interleaved] }, {
        ...options,
        name: "interleaved",
        images: INTERLEAVED_IMAGES,
      }),
      share: own,
    }]),
  ];
}

/**
 * Writes documents of MMC4's form, unless the file is there: two pictures, each before its caption, and a text without a picture. Every
 * picture is in one of them.
 */
export async function writeInterleaved(path: string, pairs: CaptionDataset, texts: readonly string[]): Promise<void> {
  if (await Deno.stat(path).then(() => true, () => false)) return;
  const random = new Random(3), order = random.shuffle(Array.from({ length: pairs.length }, (_, i) => i));
  const lines: string[] = [];
  for (let at = 0; at + INTERLEAVED_IMAGES <= order.length; at += INTERLEAVED_IMAGES) {
    const own = order.slice(at, at + INTERLEAVED_IMAGES).map((i) => pairs.entry(i));
    const captions = own.map(({ captions }) => `${random.pick(captions)}.`);
    lines.push(JSON.stringify({
      text_list: [...captions, random.pick(texts)],
      image_info: own.map(({ image }, i) => ({ image_name: image, matched_text_index: i })),
    }));
  }
  await writeFileAtomic(path, lines.join("\n") + "\n");
}
