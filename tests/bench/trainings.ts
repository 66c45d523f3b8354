/** The trainings of examples/ beside the same in PyTorch, on one thread each: milliseconds of a step, interleaved. */
import { median, round } from "./measure.ts";
import { keep, keepTable } from "./results.ts";

/** An example: the examples of a mini-batch, and the steps from one of its reports to the next. */
interface Training {
  readonly batch: number;
  readonly report: number;
}

const TRAININGS: Readonly<Record<string, Training>> = {
  digits: { batch: 64, report: 50 },
  character_model: { batch: 16, report: 50 },
  dual_encoder: { batch: 32, report: 100 },
  autoencoder: { batch: 64, report: 100 },
};

/** Reports of a process; the first, in which kernels are compiled, does not count. */
const REPORTS = 4;

/** Milliseconds of a step, one for each report. */
type Times = { readonly ours: number[]; readonly torch: number[] };

/** Runs every training `rounds` times in turn; `python` has torch. Keeps the times and a table. */
export async function trainings(rounds: number, python: string): Promise<void> {
  const times: Record<string, Times> = {};
  for (const name of Object.keys(TRAININGS)) times[name] = { ours: [], torch: [] };
  for (let r = 0; r < rounds; r++) {
    for (const [name, training] of Object.entries(TRAININGS)) {
      const ours = await ourSteps(name, training), torch = await torchSteps(python, name, training);
      times[name]!.ours.push(...ours);
      times[name]!.torch.push(...torch);
      console.error(`${name}: ${ours.join(", ")} ms a step here, ${torch.join(", ")} in PyTorch`);
    }
  }
  const rows = Object.entries(times).map(([name, { ours, torch }]) => {
    const of = (figure: (times: readonly number[]) => number): string => {
      const [a, b] = [figure(ours), figure(torch)];
      return `${a.toFixed(1)} | ${b.toFixed(1)} | ${round(a / b, 1)}`;
    };
    return `| \`examples/${name}.ts\` | ${of(median)} | ${of((times) => Math.min(...times))} |\n`;
  });
  const head = "ms a step, median | PyTorch | times PyTorch's | least | PyTorch | times PyTorch's";
  const table = `| | ${head} |\n|${" --- |".repeat(7)}\n${rows.join("")}`;
  await keepTable("trainings", await keep("trainings", `trainings ${rounds} ${python}`, { times }), table);
}

/** Milliseconds of a step from report to report, as the progress of an example tells them. */
async function ourSteps(name: string, { batch, report }: Training): Promise<number[]> {
  const script = new URL(`../../examples/${name}.ts`, import.meta.url).pathname;
  const { stderr } = await run("deno", ["run", "-A", "--quiet", script, String(REPORTS * report)]);
  const found: number[] = [];
  let before = Infinity;
  for (const [, step, rate] of stderr.matchAll(/ step (\d+)\/.* ([\d.]+) examples\/s/g)) {
    if (Number(step) > before) found.push(round(1000 * batch / Number(rate), 3));
    before = Number(step);
  }
  if (!found.length) throw new Error(`examples/${name}.ts must report ${REPORTS} times: it printed "${stderr}"`);
  return found;
}

async function torchSteps(python: string, name: string, { report }: Training): Promise<number[]> {
  const script = new URL("peers/trainings.py", import.meta.url).pathname;
  const { stdout } = await run(python, [script, name, String(report), String(REPORTS - 1)]);
  return (JSON.parse(stdout).ms as number[]).map((ms) => round(ms, 3));
}

/** What a process prints whose software adapter has one thread. */
async function run(command: string, args: string[]): Promise<{ stdout: string; stderr: string }> {
  const env = { LP_NUM_THREADS: "1", NO_COLOR: "1" };
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env, stdin: "null" }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`"${command} ${args.join(" ")}" failed: ${err}`);
  return { stdout: out!, stderr: err! };
}
