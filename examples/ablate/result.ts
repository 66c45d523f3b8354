/** Result lines: one run of one seed, as JSON. */
import type { Recalls } from "../../mod.ts";

/** R@1 among 8 near-duplicates, percent. */
export interface GroupRecalls {
  readonly i2t: number;
  readonly t2i: number;
}

/** What a run has measured, and how it is repeated. */
export interface AblationResult {
  /** Key of the run. */
  readonly run: string;
  readonly seed: number;
  readonly world: "scenes" | "photos";
  readonly steps: number;
  readonly batch: number;
  /** Examples of the training set. */
  readonly examples: number;
  readonly command: string;
  readonly commit: string;
  readonly adapter: string;
  /** Null where several runs shared the machine. */
  readonly secondsPerEpoch: number | null;
  readonly curve: readonly {
    readonly step: number;
    readonly epoch: number;
    readonly loss: number;
    readonly itc?: number;
    readonly itm?: number;
    readonly mlm?: number;
    readonly falseNegatives?: number;
  }[];
  readonly usual: { readonly cosine: Recalls; readonly reranked?: Recalls };
  readonly hard?: { readonly cosine: GroupRecalls; readonly reranked?: GroupRecalls; readonly matching?: number };
  readonly vision?: readonly {
    readonly mask: number;
    readonly k: number;
    readonly with: number;
    readonly without: number;
  }[];
}

/** The lines of a file; none if there is no file. */
export async function readResults(path: string): Promise<AblationResult[]> {
  const text = await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  return text.split("\n").filter((line) => line).map((line) => JSON.parse(line) as AblationResult);
}

/** Adds a line. */
export async function appendResult(path: string, result: AblationResult): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(result) + "\n", { append: true });
}
