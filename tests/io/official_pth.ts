/** Files as the scripts of ALBEF and GRIT-VLP save them: the names and shapes of each model, random values. */
import { writeFileAtomic } from "../../src/io/atomic.ts";
import { pthPieces, tensor } from "./make_pth.ts";
import { albefShapes, bertShapes, mlmShapes, prefixed, type Shapes, type Sizes, vitShapes } from "./shapes.ts";

/** What a file is of. RefCOCO+ is fine-tuned as retrieval is. */
export type OfficialFile = "pretrained" | "retrieval" | "vqa" | "nlvr";

type Entry = [name: string, shape: readonly number[]];

/** Names and shapes of a file, without the buffers that it carries too. */
export function officialShapes(file: OfficialFile, sizes: Sizes): Shapes {
  const vision = prefixed("visual_encoder.", vitShapes(sizes)), { text, textDepth, fusion } = sizes;
  const encoder = (more: Partial<Sizes> = {}) => prefixed("text_encoder.", bertShapes({ ...sizes, ...more }));
  const linear = (name: string, rows: number): Entry[] => [[`${name}.weight`, [rows, text]], [`${name}.bias`, [rows]]];
  switch (file) {
    case "pretrained":
      return albefShapes(sizes);
    case "retrieval":
      return new Map([...albefShapes(sizes)].filter(([name]) => !name.includes(".cls.")).map(withoutBert));
    case "vqa": {
      const decoder = { ...sizes, textDepth: textDepth - fusion, fusion: 0, vision: text };
      return new Map([
        ...vision,
        ...encoder(),
        ...prefixed("text_decoder.bert.", bertShapes(decoder)),
        ...prefixed("text_decoder.cls.", mlmShapes(sizes)),
      ]);
    }
    case "nlvr":
      return new Map([
        ...vision,
        ...encoder({ textDepth: 2 * textDepth - fusion }),
        ...linear("cls_head.0", text),
        ...linear("cls_head.2", 2),
      ]);
  }
}

function withoutBert([name, shape]: Entry): Entry {
  return [name.replace("text_encoder.bert.", "text_encoder."), shape];
}

/** The name that has the same storage: keys and values of the second layer of a pair are those of the first. */
function twinOf(name: string, { fusion }: Sizes): string | undefined {
  const [, before, layer = "", after] =
    /^(text_encoder\w*\.encoder\.layer\.)(\d+)(\.crossattention\.self\.(?:key|value)\..*)$/
      .exec(name) ?? [];
  return after !== undefined && (Number(layer) - fusion) % 2 === 1
    ? `${before}${Number(layer) - 1}${after}`
    : undefined;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Random values near those that models have: norms and the temperature positive, the rest small; by xorshift, which is quick. */
function values(name: string, shape: readonly number[], seed: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(sizeOf(shape)), isScale = shape.length === 1 && name.endsWith(".weight");
  const [middle, spread] = name === "temp" ? [0.07, 0] : [isScale ? 1 : 0, 0.06];
  let state = seed * 2654435761 | 1;
  for (let i = 0; i < out.length; i++) {
    state ^= state << 13, state ^= state >>> 17, state ^= state << 5;
    out[i] = middle + spread * state / 2 ** 31;
  }
  return out;
}

/**
 * Writes such a file, one tensor at a time.
 *
 * @param momentum Also writes the momentum copies and queues that ALBEF keeps and GRIT-VLP does not.
 */
export async function writeOfficialPth(
  path: string,
  file: OfficialFile,
  sizes: Sizes,
  { momentum = false }: { readonly momentum?: boolean } = {},
): Promise<void> {
  const own = [...officialShapes(file, sizes)], queue: readonly number[] = [sizes.embed, 32];
  const isCopied = (name: string): boolean => !/^(temp|itm_head|cls_head)/.test(name);
  const copies = own.filter(([name]) => isCopied(name)).map(([name, shape]): Entry => {
    return [name.replace(/^(\w+)\./, "$1_m."), shape];
  });
  const all = momentum ? [...own, ...copies, ["image_queue", queue] as Entry, ["text_queue", queue] as Entry] : own;
  const state = new Map<string, unknown>(), storages: Record<string, () => Uint8Array> = {};
  for (const [at, [name, shape]] of all.entries()) {
    const twin = file === "nlvr" ? twinOf(name, sizes) : undefined;
    if (twin !== undefined) {
      state.set(name, state.get(twin));
      continue;
    }
    const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
    state.set(name, tensor(String(at), sizeOf(shape), shape, strides));
    storages[at] = () => new Uint8Array(values(name, shape, at + 1).buffer);
    // The tied decoder is a second name of the same storage, in every file that has a masked language head.
    if (!name.endsWith("cls.predictions.bias")) continue;
    const prefix = name.slice(0, -"cls.predictions.bias".length),
      word = `${prefix}bert.embeddings.word_embeddings.weight`;
    state.set(`${prefix}cls.predictions.decoder.weight`, state.get(word));
    state.set(`${prefix}cls.predictions.decoder.bias`, state.get(name));
  }
  storages["ids"] = () => new Uint8Array(BigInt64Array.from({ length: sizes.positions }, (_, i) => BigInt(i)).buffer);
  const ids = tensor("ids", sizes.positions, [1, sizes.positions], [sizes.positions, 1], 0, "torch.LongStorage");
  state.set(`text_encoder.${file === "pretrained" ? "bert." : ""}embeddings.position_ids`, ids);
  const saved = { model: state, optimizer: { state: {}, param_groups: [] }, config: { alpha: 0.4 }, epoch: 7 };
  await writeFileAtomic(path, pthPieces(saved, storages));
}
