/**
 * Kills a small run at random moments and looks whether it comes to the same end: every second kill waits for a checkpoint that is being
 * written. A run that ends before the signal counts for nothing. What it saw is kept as lines of JSON beside the command.
 *
 *     deno task chaos [--program trainer] [--times 20] [--seed 1] [--keep tests/bench/results/chaos.jsonl]
 *     deno task chaos --program pretrain        GRIT-VLP by examples/pretrain.ts, whose kernels take longer to compile
 */
import { parseArgs } from "@std/cli";
import { sceneFiles, writeScenes } from "../src/data/scenes/write.ts";
import { writeFileAtomic } from "../src/io/atomic.ts";
import { Random } from "../src/random/random.ts";
import { listCheckpoints } from "../src/train/checkpoint.ts";
import { SIZES } from "./examples/pretrain.ts";
import { checkpointHash, killRun } from "./testing/kills.ts";
import { EXAMPLE_PERMISSIONS } from "./testing/permissions.ts";

/** What is killed: a script with its flags. */
interface Program {
  readonly script: string;
  readonly flags: readonly string[];
  readonly steps: number;
  readonly checkpointEvery: number;
}

const SIGNALS = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const;

/** A run that was killed, and what became of it. */
interface Trial {
  readonly trial: number;
  readonly signal: string;
  /** Where the kill was aimed at: a moment after a step, or a file that was being written after it. */
  readonly aim: "moment" | "saving";
  /** The last step that the run had told of. */
  readonly step: number;
  /** Temporary files that the kill left. */
  readonly halves: number;
  /** How the killed process ended; never 0. */
  readonly status: number;
  /** The newest checkpoint that it left; null if there was none, so that the run began anew. */
  readonly checkpoint: string | null;
  /** Runs that came to their end before the signal; they are no trials, and others took their place. */
  readonly missed: number;
  readonly sha256: string | null;
  readonly equal: boolean;
}

/** Names of a folder that is perhaps not there yet. */
function namesIn(folder: string): string[] {
  try {
    return Array.from(Deno.readDirSync(folder), ({ name }) => name);
  } catch {
    return [];
  }
}

async function programOf(name: string, dir: string): Promise<Program> {
  if (name === "trainer") return { script: "tests/chaos_run.ts", flags: [], steps: 120, checkpointEvery: 5 };
  if (name !== "pretrain") throw new Error(`--program must be trainer or pretrain: it is "${name}"`);
  await writeScenes(`${dir}/scenes`, { train: 10, val: 0, test: 0, size: 16, captions: 2 });
  const { captions, images } = sceneFiles(`${dir}/scenes`, "train");
  const flags = ["--data", captions, "--images", images, ...SIZES];
  return { script: "examples/pretrain.ts", flags, steps: 40, checkpointEvery: 4 };
}

function spawn({ script, flags, steps, checkpointEvery }: Program, out: string, ...more: string[]): Deno.ChildProcess {
  const path = new URL(`../${script}`, import.meta.url).pathname;
  const length = ["--steps", `${steps}`, "--checkpoint-every", `${checkpointEvery}`];
  return new Deno.Command("deno", {
    args: ["run", "--quiet", "--no-check", ...EXAMPLE_PERMISSIONS, path, ...flags, ...length, "--out", out, ...more],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs to the end; the hash of the last checkpoint. */
async function finish(program: Program, out: string): Promise<string | null> {
  const resume = (await listCheckpoints(out)).length ? "--resume" : "--overwrite";
  const { success, stderr } = await spawn(program, out, resume).output();
  if (success) return await checkpointHash(out, program.steps) ?? null;
  console.error(new TextDecoder().decode(stderr));
  return null;
}

/** How a kill went. */
type Kill = Omit<Trial, "trial" | "missed" | "checkpoint" | "sha256" | "equal">;

/**
 * Starts a run and kills it: at a random moment after a random step, or while it writes a checkpoint after that step. Undefined if the
 * run was faster than the signal.
 */
async function kill(program: Program, out: string, random: Random, aim: Trial["aim"]): Promise<Kill | undefined> {
  const signal = SIGNALS[random.below(SIGNALS.length)]!, after = random.below(program.steps - program.checkpointEvery);
  const isSaving = (): boolean => namesIn(out).some((name) => /^\.step-.*\.tmp$/.test(name));
  const { status, step } = await killRun(spawn(program, out), {
    signal,
    after,
    ready: () => aim === "moment" || isSaving(),
    delay: (aim === "moment" ? 300 : 20) * random.uniform(),
  });
  const halves = namesIn(out).filter((name) => name.endsWith(".tmp")).length;
  return status === 0 ? undefined : { signal, aim, step, halves, status };
}

/** Kills a run in a new folder, again and again until the signal was fast enough, and lets it go on to its end. */
async function tryOnce(program: Program, dir: string, random: Random, trial: number, whole: string): Promise<Trial> {
  for (let missed = 0; missed < 20; missed++) {
    const out = `${dir}/${trial}-${missed}`, killed = await kill(program, out, random, trial % 2 ? "saving" : "moment");
    if (!killed) continue;
    const checkpoint = (await listCheckpoints(out)).at(-1) ?? null, sha256 = await finish(program, out);
    return { trial, ...killed, checkpoint, missed, sha256, equal: sha256 === whole };
  }
  throw new Error("The run was faster than the signal 20 times: give it more steps");
}

async function main(): Promise<void> {
  const { program: name, times, seed, keep } = parseArgs(Deno.args, {
    string: ["program", "times", "seed", "keep"],
    default: { program: "trainer", times: "20", seed: "1", keep: "tests/bench/results/chaos.jsonl" },
  });
  const dir = await Deno.makeTempDir(), random = new Random(Number(seed)), trials: Trial[] = [];
  try {
    const program = await programOf(name, dir), { steps, checkpointEvery } = program;
    const whole = await finish(program, `${dir}/whole`);
    if (!whole) throw new Error("The run that is not killed failed");
    console.error(`the whole run: ${whole}`);
    for (let trial = 0; trial < Number(times); trial++) {
      trials.push(await tryOnce(program, dir, random, trial, whole));
      console.error(JSON.stringify(trials.at(-1)));
    }
    const equal = trials.filter((t) => t.equal).length,
      command = `deno task chaos --program ${name} --times ${times} --seed ${seed}`;
    const summary = { command, steps, checkpointEvery, sha256: whole, equal, of: trials.length };
    await writeFileAtomic(keep, [summary, ...trials].map((line) => `${JSON.stringify(line)}\n`).join(""));
    console.log(JSON.stringify(summary));
    if (equal < trials.length) Deno.exitCode = 1;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) await main();
