/**
 * How other tools call our parameters. Our own names, the parts of the parameter tree joined by dots, are those of the official
 * ALBEF and GRIT-VLP state dicts.
 *
 * @module
 */

/** Our names of some parameters and the names of the tensors that hold them elsewhere. */
export interface NameRule {
  /** Our name; `*` stands for any text. */
  readonly ours: string;
  /** Their name with the same texts for each `*`, in order; several names are stacked along the first axis (query, key, value). */
  readonly theirs: string | readonly string[];
  /** When layers are counted differently: the number of their layer for ours, which is the text of the first `*`. */
  readonly layer?: (ours: number) => number | undefined;
}

/** Names of one tool. */
export interface NameTable {
  /** The tool, for messages. */
  readonly title: string;
  /** All rules that fit a name are tried in this order when loading; the first is the one to save by. */
  readonly rules: readonly NameRule[];
  /** Their tensors that have no place with us, and why. */
  readonly ignored: readonly { readonly theirs: string; readonly reason: string }[];
  /** Their tensors that are second copies of another; dropped when they are equal to it. */
  readonly tied: readonly { readonly theirs: string; readonly equals: string }[];
  /** What may stand in front of all names of a file: what has wrapped the model when it was saved. Default: nothing. */
  readonly wrappers?: readonly string[];
}

/** What Lightning, parallel training and compilation put in front of the names of a model. */
export const WRAPPERS: readonly string[] = ["state_dict.", "module.", "model.", "_orig_mod."];

/** What stands in front of all names of a file. */
export function wrapperOf({ wrappers = [] }: NameTable, names: readonly string[]): string {
  let prefix = "";
  const isOfAll = (more: string) => names.length > 0 && names.every((name) => name.startsWith(prefix + more));
  for (let more; (more = wrappers.find(isOfAll)) !== undefined;) prefix += more;
  return prefix;
}

/** The texts, as short as possible from the left, that the `*` of a pattern stand for in a name; undefined when the name does not fit. */
export function matchName(pattern: string, name: string): string[] | undefined {
  const parts = pattern.split("*").map((part) => part.replace(/[.^$+?()[\]{}|\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("([^]*?)")}$`).exec(name)?.slice(1);
}

/** The pattern with texts in the places of its `*`. */
export function fillName(pattern: string, texts: readonly string[]): string {
  let at = 0;
  return pattern.replaceAll("*", () => texts[at++] ?? "");
}

function namesBy({ ours, theirs, layer }: NameRule, name: string): string[] | undefined {
  const texts = matchName(ours, name);
  if (texts === undefined) return undefined;
  if (layer !== undefined) {
    const number = layer(Number(texts[0]));
    if (number === undefined) return undefined;
    texts[0] = String(number);
  }
  return [theirs].flat().map((pattern) => fillName(pattern, texts));
}

/**
 * Where another tool may keep one of our parameters: each choice is a list of tensors to stack along the first axis, mostly one.
 * The first choice is the name that the tool itself writes today.
 */
export function theirNames(table: NameTable, ours: string): string[][] {
  return table.rules.map((rule) => namesBy(rule, ours)).filter((names) => names !== undefined);
}

/** Second copies of the word embeddings and of the output bias that every BERT with a masked language head saves. */
export const TIED_DECODER: NameTable["tied"] = [
  { theirs: "*cls.predictions.decoder.weight", equals: "*bert.embeddings.word_embeddings.weight" },
  { theirs: "*cls.predictions.decoder.bias", equals: "*cls.predictions.bias" },
];

/** The buffer of consecutive numbers that old versions of the transformers library saved. */
export const POSITION_IDS: NameTable["ignored"][number] = {
  theirs: "*position_ids",
  reason: "the numbers 0, 1, 2, ... are no parameter",
};
