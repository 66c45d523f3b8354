/**
 * The run that chaos kills: the perceptron of the trainer's tests, wide enough that a checkpoint takes a while to write.
 *
 *     deno run -A tests/chaos_run.ts --steps 120 --checkpoint-every 5 --out FOLDER [--resume | --overwrite]
 */
import { parseArgs } from "@std/cli";
import { stopOnSignals } from "../src/io/signals.ts";
import { train } from "../src/train/train.ts";
import { mlpTask } from "./train/mlp_task.ts";

const { steps, out, resume, overwrite, ...flags } = parseArgs(Deno.args, {
  string: ["steps", "checkpoint-every", "out"],
  boolean: ["resume", "overwrite"],
});
using stop = stopOnSignals();
const { stopped } = await train(mlpTask({ dropout: 0.2, hidden: 20_000 }), {
  steps: Number(steps),
  learningRate: () => 1e-3,
  seed: 5,
  logEvery: 5,
  checkpointEvery: Number(flags["checkpoint-every"]),
  out: out!,
  resume,
  overwrite,
  signal: stop.signal,
});
if (stopped) Deno.exitCode = stop.status!;
