/** This library beside tfjs and jax-js: processes one after the other, every contender once a round, medians over the rounds. */
import { type Line, median, round } from "./measure.ts";
import { keep, keepTable, runLine } from "./results.ts";

const WORKS = ["matmul 1024", "block 16 65 128 4"];

/** A script and the arguments before the work; the first is this library. */
interface Contender {
  readonly name: string;
  readonly script: string;
  readonly backend: readonly string[];
}

const CONTENDERS: readonly Contender[] = [
  { name: "gritstone, WebGPU", script: "bench.ts", backend: [] },
  { name: "jax-js 0.1.25, WebGPU", script: "peers/jaxjs.ts", backend: ["webgpu"] },
  { name: "tfjs 4.22.0, WebGPU", script: "peers/tfjs.ts", backend: ["webgpu"] },
  { name: "jax-js 0.1.25, WASM", script: "peers/jaxjs.ts", backend: ["wasm"] },
  { name: "tfjs 4.22.0, WASM", script: "peers/tfjs.ts", backend: ["wasm"] },
];

/** One work as a Markdown table: medians over the rounds, and how many times as long as the first each takes. */
export function comparisonTable(work: string, lines: readonly (readonly Line[])[]): string {
  const times = lines.map((of) => median(of.map((l) => l.median_ms)));
  const rows = CONTENDERS.map(({ name }, i) => {
    const gflops = median(lines[i]!.map((l) => l.gflops));
    return `| ${name} | ${times[i]!.toFixed(1)} | ${gflops.toFixed(1)} | ${round(times[i]! / times[0]!, 1)} |\n`;
  });
  return `| \`${work}\` | ms | GFLOP/s | times ours |\n| --- | --- | --- | --- |\n${rows.join("")}`;
}

/** Runs everything `rounds` times; keeps lines and tables. */
export async function compare(rounds: number): Promise<void> {
  const tables: string[] = [], all: Line[] = [];
  for (const work of WORKS) {
    const lines = CONTENDERS.map((): Line[] => []);
    for (let r = 0; r < rounds; r++) {
      for (const [i, { script, backend }] of CONTENDERS.entries()) {
        lines[i]!.push(await runLine(script, [...backend, ...work.split(" ")]));
      }
    }
    tables.push(comparisonTable(work, lines));
    all.push(...lines.flat());
  }
  await keepTable("compare", await keep("compare", `compare ${rounds}`, { lines: all }), tables.join("\n"));
}
