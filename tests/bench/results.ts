/** Results as data: what was run, where and when. */
import { defaultDevice } from "../../src/gpu/device.ts";
import { type Line, round } from "./measure.ts";

/** The origin of figures. */
export interface Origin {
  readonly command: string;
  readonly adapter: string;
  readonly cores: number;
  readonly date: string;
  /** Processes that wanted to run in the last minute, at the end: others may have used the machine too. */
  readonly load: number;
}

/** Writes results/NAME.json and returns where the figures come from. */
export async function keep(name: string, command: string, data: Readonly<Record<string, unknown>>): Promise<Origin> {
  const origin: Origin = {
    command: `deno run -A tests/bench/bench.ts ${command}`,
    adapter: (await defaultDevice()).adapter,
    cores: navigator.hardwareConcurrency,
    date: new Date().toISOString(),
    load: round(Deno.loadavg()[0] ?? 0),
  };
  await writeResult(`${name}.json`, JSON.stringify({ ...origin, ...data }, null, 2) + "\n");
  return origin;
}

/** Writes results/NAME.md below a caption, and prints it. */
export async function keepTable(name: string, { command, adapter, cores, date }: Origin, table: string): Promise<void> {
  const text = `\`${command}\` on ${adapter}, ${cores} cores, ${date.slice(0, 10)}\n\n${table}`;
  console.log(text);
  await writeResult(`${name}.md`, text);
}

/** Writes results/NAME. */
export async function writeResult(name: string, text: string): Promise<void> {
  const file = new URL(`results/${name}`, import.meta.url);
  await Deno.mkdir(new URL(".", file), { recursive: true });
  await Deno.writeTextFile(file, text);
}

/** Runs a script of this folder in a process of its own; its last line is the result. */
export async function runLine(script: string, args: readonly string[]): Promise<Line> {
  const command = ["run", "-A", "--quiet", "--no-lock", new URL(script, import.meta.url).pathname, ...args];
  const { stdout, stderr, success } = await new Deno.Command("deno", { args: command, stdin: "null" }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`"deno ${command.join(" ")}" failed: ${text.decode(stderr)}`);
  const line: Line = JSON.parse(text.decode(stdout).trim().split("\n").at(-1)!);
  console.error(JSON.stringify(line));
  return line;
}
