/** This library beside tfjs and jax-js: processes one after the other, every contender once a round, medians over the rounds. */
import { defaultDevice } from "../../src/gpu/device.ts";
import { type Line, median, round } from "./measure.ts";

const WORKS = ["matmul 1024", "block 16 65 128 4"];

/** A script and the arguments before the work. */
interface Contender {
  readonly name: string;
  readonly script: string;
  readonly backend: string | undefined;
}

const CONTENDERS: readonly Contender[] = [
  { name: "gritstone, WebGPU", script: "bench.ts", backend: undefined },
  { name: "jax-js 0.1.25, WebGPU", script: "peers/jaxjs.ts", backend: "webgpu" },
  { name: "tfjs 4.22.0, WebGPU", script: "peers/tfjs.ts", backend: "webgpu" },
  { name: "jax-js 0.1.25, WASM", script: "peers/jaxjs.ts", backend: "wasm" },
  { name: "tfjs 4.22.0, WASM", script: "peers/tfjs.ts", backend: "wasm" },
];

/** Medians of a contender over all rounds of one work. */
export interface Standing {
  readonly name: string;
  readonly milliseconds: number;
  readonly gflops: number;
}

async function runOnce({ script, backend }: Contender, work: string): Promise<Line> {
  const file = new URL(script, import.meta.url).pathname;
  const args = ["run", "-A", "--quiet", "--no-lock", file, ...(backend ? [backend] : []), ...work.split(" ")];
  const { stdout, stderr, success } = await new Deno.Command("deno", { args, stdin: "null", stdout: "piped" }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`"deno ${args.join(" ")}" failed: ${text.decode(stderr)}`);
  return JSON.parse(text.decode(stdout).trim().split("\n").at(-1)!);
}

function standing(name: string, lines: readonly Line[]): Standing {
  return {
    name,
    milliseconds: round(median(lines.map((l) => l.median_ms))),
    gflops: round(median(lines.map((l) => l.gflops))),
  };
}

/** One work as a Markdown table; the ratio says how many times the first contender is as fast. */
export function comparisonTable(work: string, standings: readonly Standing[]): string {
  const own = standings[0]!;
  const rows = standings.map(({ name, milliseconds, gflops }) =>
    `| ${name} | ${milliseconds} | ${gflops} | ${round(milliseconds / own.milliseconds, 1)} |\n`
  );
  return `| \`${work}\` | ms | GFLOP/s | times the first's time |\n| --- | --- | --- | --- |\n${rows.join("")}`;
}

/** Runs everything `rounds` times, prints the tables and keeps lines and tables in results/. */
export async function compare(rounds: number): Promise<void> {
  const lines: Line[] = [], tables: string[] = [], began = new Date(), load = Deno.loadavg()[0];
  for (const work of WORKS) {
    const of = CONTENDERS.map((): Line[] => []);
    for (let r = 0; r < rounds; r++) {
      for (const [i, contender] of CONTENDERS.entries()) {
        const line = await runOnce(contender, work);
        console.error(JSON.stringify(line));
        of[i]!.push(line);
        lines.push(line);
      }
    }
    tables.push(comparisonTable(work, CONTENDERS.map(({ name }, i) => standing(name, of[i]!))));
  }
  const { adapter } = await defaultDevice();
  const record = {
    command: `deno run -A tests/bench/bench.ts compare ${rounds}`,
    adapter,
    cores: navigator.hardwareConcurrency,
    date: began.toISOString(),
    load_before: round(load ?? 0),
    load_after: round(Deno.loadavg()[0] ?? 0),
    lines,
  };
  const caption = `\`${record.command}\` on ${adapter}, ${record.cores} cores, ${
    record.date.slice(0, 10)
  }; medians of ${rounds} interleaved rounds.\n`;
  const markdown = [caption, ...tables].join("\n");
  console.log(markdown);
  await Deno.writeTextFile(new URL("results/compare.json", import.meta.url), JSON.stringify(record, null, 2) + "\n");
  await Deno.writeTextFile(new URL("results/compare.md", import.meta.url), markdown);
}
