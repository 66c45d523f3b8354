/** All works once, each in a process of its own, as one table. */
import { formatBytes } from "../../src/gpu/errors.ts";
import type { Line } from "./measure.ts";
import { keep, keepTable, runLine } from "./results.ts";

const WORKS = [
  "matmul 1024",
  "matmul 1024 f16",
  "attention 4 4 512 64",
  "block 16 65 128 4",
  "step tiny 32",
  "step small 32",
  "grouping 1920 960 96 256",
  "itc 256 256",
  "itc 32 256 65536",
  "vocab 256 768 30522",
  "startup tiny 32",
];

export async function suite(): Promise<void> {
  const lines: Line[] = [];
  for (const work of WORKS) lines.push(await runLine("bench.ts", work.split(" ")));
  const rows = lines.map(({ work, median_ms, gflops, memory, share_of_peak }) => {
    const bytes = typeof memory === "number" ? formatBytes(memory) : "";
    const share = typeof share_of_peak === "number" ? `${Math.round(100 * share_of_peak)} %` : "";
    return `| \`${work}\` | ${median_ms} | ${gflops || ""} | ${share} | ${bytes} |\n`;
  });
  const table = `| work | ms | GFLOP/s | of the peak | GPU memory |\n| --- | --- | --- | --- | --- |\n${rows.join("")}`;
  await keepTable("suite", await keep("suite", "suite", { lines }), table);
}
