/** The best model of a run so far: its parameters and figures in two files of the run's folder. */
import { entries, exportParameters, type NamedTensor, toHost, writeFileAtomic } from "../../mod.ts";
import { isFile } from "../_run.ts";
import type { Parameters, Score } from "./task.ts";

/** Which model it is. */
export interface Best {
  readonly step: number;
  readonly score: number;
  readonly figures: Score["figures"];
}

/** Keeps the best model; of equal ones the first. */
export class Selection {
  #best: Best | undefined;

  constructor(readonly out: string) {}

  /** The file of its parameters. */
  get path(): string {
    return `${this.out}/best.safetensors`;
  }

  get best(): Best | undefined {
    return this.#best;
  }

  /** Goes on where an earlier process was: a resumed run finds what it has selected before. */
  async resume(): Promise<void> {
    const path = `${this.out}/best.json`;
    if (!await isFile(path) || !await isFile(this.path)) return;
    this.#best = JSON.parse(await Deno.readTextFile(path));
  }

  /** Removes the best model of another run in the same folder. */
  async clear(): Promise<void> {
    for (const path of [`${this.out}/best.json`, this.path]) {
      if (await isFile(path)) await Deno.remove(path);
    }
  }

  async offer(params: Parameters, step: number, { score, figures }: Score): Promise<void> {
    if (this.#best && !(score > this.#best.score)) return;
    await exportParameters(this.path, await namedTensors(params), { metadata: { format: "pt", step: String(step) } });
    this.#best = { step, score, figures };
    await writeFileAtomic(`${this.out}/best.json`, JSON.stringify(this.#best, null, 1) + "\n");
  }
}

async function namedTensors(params: Parameters): Promise<NamedTensor[]> {
  const named = entries(params), values = await toHost(named.map(([, tensor]) => tensor));
  return named.map(([name, { shape }], i) => ({
    name,
    dtype: "F32",
    shape,
    data: values[i] as Float32Array<ArrayBuffer>,
  }));
}
