/**
 * Result lines: one run of one seed, as JSON.
 *
 * @module
 */
import type { Recalls } from "../../mod.ts";

/** Recall at 1 in percent among 8 near-duplicates; chance is 12.5. */
export interface GroupRecalls {
  /** Image queries. */
  readonly i2t: number;
  /** Text queries. */
  readonly t2i: number;
}

/**
 * What is learned: scenes, scenes of which some training pictures have each other's captions, scenes of few kinds of objects (many a caption
 * is true of other pictures), or photos.
 */
export const WORLDS = ["scenes", "noisy", "dense", "photos"] as const;

/** One of {@linkcode WORLDS}. */
export type WorldName = typeof WORLDS[number];

/** What one run of one seed gave. */
export interface AblationResult {
  readonly run: string;
  readonly seed: number;
  readonly world: WorldName;
  readonly steps: number;
  readonly batch: number;
  /** Examples of the training set. */
  readonly examples: number;
  readonly command: string;
  readonly commit: string;
  readonly adapter: string;
  /** Absent where several runs shared the machine. */
  readonly secondsPerEpoch?: number;
  /** Losses on the way; `falseNegatives` and a judge's `falsePositives` in percent of ITM's drawn pairs. */
  readonly curve: readonly {
    readonly step: number;
    readonly epoch: number;
    readonly loss: number;
    readonly itc?: number;
    readonly itm?: number;
    readonly mlm?: number;
    readonly falseNegatives?: number;
    readonly falsePositives?: number;
  }[];
  readonly usual: { readonly cosine: Recalls; readonly reranked?: Recalls };
  readonly hard?: { readonly cosine: GroupRecalls; readonly reranked?: GroupRecalls; readonly matching?: number };
  /** Accuracy of MLM at k in percent, with and without the image, for shares of masked tokens. */
  readonly vision?: readonly {
    readonly mask: number;
    readonly k: number;
    readonly with: number;
    readonly without: number;
  }[];
}

/** Whether a value is what a field needs; the sentence's end, if not, is thrown with the field's path. */
type Check = (value: unknown, path: string) => void;

function rule(what: string, holds: (value: unknown) => boolean): Check {
  return (value, path) => {
    if (holds(value)) return;
    const text = JSON.stringify(value) ?? "missing";
    throw new TypeError(`"${path}" must be ${what}: it is ${text.length > 40 ? `${text.slice(0, 40)}...` : text}`);
  };
}

const text = rule("a text", (v) => typeof v === "string" && v !== "");
const whole = rule("a whole number of 0 or more", (v) => Number.isSafeInteger(v) && (v as number) >= 0);
const number = rule("a number", Number.isFinite);
const positive = rule("a number above 0", (v) => Number.isFinite(v) && (v as number) > 0);
const percent = rule(
  "a percentage from 0 to 100",
  (v) => Number.isFinite(v) && (v as number) >= 0 && (v as number) <= 100,
);

/** An object with these fields and no others; a name that ends with ? may be left out. */
function object(fields: Readonly<Record<string, Check>>): Check {
  const checks = new Map(
    Object.entries(fields).map(([key, check]) => [key.replace("?", ""), [check, key.endsWith("?")]] as const),
  );
  return (value, path) => {
    rule("an object", (v) => typeof v === "object" && v !== null && !Array.isArray(v))(value, path);
    const entry = value as Record<string, unknown>, inside = (key: string) => path === "line" ? key : `${path}.${key}`;
    for (const key of Object.keys(entry)) if (!checks.has(key)) throw new TypeError(`"${inside(key)}" is no field`);
    for (const [key, [check, optional]] of checks) {
      if (!optional || entry[key] !== undefined) check(entry[key], inside(key));
    }
  };
}

function list(check: Check): Check {
  return (value, path) => {
    rule("a list", Array.isArray)(value, path);
    (value as unknown[]).forEach((item, i) => check(item, `${path}[${i}]`));
  };
}

const recall = object({ r1: percent, r5: percent, r10: percent, mean: percent });
const recalls = object({ i2t: recall, t2i: recall, mean: percent });
const recalls1 = object({ i2t: percent, t2i: percent });
const point = { step: whole, epoch: number, loss: number, "itc?": number, "itm?": number, "mlm?": number };
const line = object({
  run: text,
  seed: whole,
  world: rule(`one of ${WORLDS.join(", ")}`, (v) => WORLDS.includes(v as WorldName)),
  steps: whole,
  batch: whole,
  examples: whole,
  command: text,
  commit: text,
  adapter: text,
  "secondsPerEpoch?": positive,
  curve: list(object({ ...point, "falseNegatives?": percent, "falsePositives?": percent })),
  usual: object({ cosine: recalls, "reranked?": recalls }),
  "hard?": object({ cosine: recalls1, "reranked?": recalls1, "matching?": percent }),
  "vision?": list(object({ mask: number, k: whole, with: percent, without: percent })),
});

/**
 * The results in a file of lines; none if there is no file.
 *
 * @throws {Error} If a line is no result; the message names the file, the line and the field.
 */
export async function readResults(path: string): Promise<AblationResult[]> {
  const content = await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  return content.split("\n").flatMap((json, i) => {
    if (!json.trim()) return [];
    try {
      const value: unknown = JSON.parse(json);
      line(value, "line");
      return [value as AblationResult];
    } catch (error) {
      throw new Error(`"${path}", line ${i + 1}: ${(error as Error).message}`);
    }
  });
}

/** Appends a result to a file of lines, numbers to six digits. */
export async function appendResult(path: string, result: AblationResult): Promise<void> {
  const short = (_: string, value: unknown): unknown =>
    typeof value === "number" ? Number(value.toPrecision(6)) : value;
  await Deno.writeTextFile(path, JSON.stringify(result, short) + "\n", { append: true });
}
