/** The trainings of examples/ beside the same in PyTorch, on one thread each: seconds of a step, interleaved. */
import { median, round } from "./measure.ts";
import { keep, keepTable } from "./results.ts";

/** Steps of a process that are counted; as many more run before them, so that compilation is not. */
const EXAMPLES: Readonly<Record<string, number>> = { digits: 100, character_model: 40, autoencoder: 400 };

/** Milliseconds of a step, by rounds. */
type Rounds = { readonly ours: number[]; readonly torch: number[] };

/** Runs every training `rounds` times in turn; `python` has torch. Keeps the times and a table. */
export async function trainings(rounds: number, python: string): Promise<void> {
  const times: Record<string, Rounds> = {};
  for (const name of Object.keys(EXAMPLES)) times[name] = { ours: [], torch: [] };
  for (let r = 0; r < rounds; r++) {
    for (const [name, steps] of Object.entries(EXAMPLES)) {
      const { ours, torch } = times[name]!;
      ours.push(await ourStep(name, steps));
      torch.push(await torchStep(python, name, steps));
      console.error(`${name}: ${ours.at(-1)} ms a step here, ${torch.at(-1)} ms in PyTorch`);
    }
  }
  const rows = Object.entries(times).map(([name, { ours, torch }]) => {
    const [a, b] = [median(ours), median(torch)];
    return `| \`examples/${name}.ts\` | ${a.toFixed(1)} | ${b.toFixed(1)} | ${round(a / b, 1)} |\n`;
  });
  const table = `| ms a step | here | PyTorch | times PyTorch's |\n| --- | --- | --- | --- |\n${rows.join("")}`;
  await keepTable("trainings", await keep("trainings", `trainings ${rounds} ${python}`, { times }), table);
}

/** What the second half of twice as many steps takes: the difference of two processes. */
async function ourStep(name: string, steps: number): Promise<number> {
  const script = new URL(`../../examples/${name}.ts`, import.meta.url).pathname;
  const seconds = async (steps: number): Promise<number> => {
    const start = performance.now();
    await output("deno", ["run", "-A", "--quiet", script, String(steps)]);
    return performance.now() - start;
  };
  return round((await seconds(2 * steps) - await seconds(steps)) / steps);
}

async function torchStep(python: string, name: string, steps: number): Promise<number> {
  const script = new URL("peers/trainings.py", import.meta.url).pathname;
  const { seconds } = JSON.parse(await output(python, [script, name, String(steps)]));
  return round(seconds / steps * 1000);
}

/** Standard output of a process whose software adapter has one thread. */
async function output(command: string, args: string[]): Promise<string> {
  const env = { LP_NUM_THREADS: "1" };
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env, stdin: "null" }).output();
  if (!success) throw new Error(`"${command} ${args.join(" ")}" failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
