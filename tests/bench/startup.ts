/** From the start of a process to the end of its first training step, kernels in Mesa's cache or not as it happens. */
import { defaultDevice } from "../../src/gpu/device.ts";
import { configs } from "../../src/models/config.ts";
import { type Line, line, median, round } from "./measure.ts";
import { BenchStep } from "./step.ts";

type ConfigName = keyof typeof configs;

/** Milliseconds of the parts of a start, as the child process sees them. */
async function firstStep(name: ConfigName, batch: number): Promise<Record<string, number>> {
  const marks: Record<string, number> = {};
  let last = 0; // performance.now() counts from the start of the process
  const mark = (part: string): void => {
    const now = performance.now();
    marks[part] = round(now - last, 0);
    last = now;
  };
  mark("modules");
  await defaultDevice();
  mark("adapter");
  const step = await BenchStep.create(configs[name], batch);
  mark("parameters");
  const programs = await step.programs();
  mark("plan");
  for (const program of programs) await program.build();
  mark("kernels");
  await step.run();
  await step.loss();
  mark("step");
  return marks;
}

/** Starts three processes, one after the other. */
export async function startup(name: ConfigName, batch: number): Promise<Line> {
  const args = ["run", "-A", "--no-lock", import.meta.filename!, name, `${batch}`];
  const times: number[] = [];
  let parts: Record<string, number> = {};
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    const { stdout, success } = await new Deno.Command("deno", { args, stdin: "null", stderr: "inherit" }).output();
    if (!success) throw new Error("The process of the first step failed");
    times.push(performance.now() - start);
    parts = JSON.parse(new TextDecoder().decode(stdout));
  }
  return line(
    "gritstone",
    "webgpu",
    `startup ${name} ${batch}`,
    0,
    { best: Math.min(...times), median: median(times) },
    parts,
  );
}

if (import.meta.main) {
  console.log(JSON.stringify(await firstStep(Deno.args[0] as ConfigName, Number(Deno.args[1]))));
  Deno.exit(0);
}
