import { assert, assertEquals, assertMatch } from "@std/assert";
import { tensor } from "../../src/program/compile.ts";
import { CompileLines } from "../../src/train/progress.ts";
import { type Metrics, Reporter } from "../../src/train/report.ts";
import type { TrainState } from "../../src/train/step.ts";

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("the phases of compilation are told with their share of the kernels and the time left", async () => {
  const lines: string[] = [], told = new CompileLines((line) => lines.push(line), 0);
  told.at(0, 4, "matmul", "compile");
  await wait(1100);
  told.at(2, 4, "tanh", "compile");
  told.at(0, 4, "matmul", "first run");
  assertEquals(lines[0], "compiling kernels: 0/4 (0 %): matmul");
  assertMatch(lines[1]!, /^compiling kernels: 2\/4 \(50 %, [1-9] s left\): tanh$/);
  assertMatch(lines[2]!, /^first run of the kernels, which the driver compiles: 0\/4 \(0 %\): matmul$/);
});

Deno.test("rates leave out the first step, which compiles the kernels, unless it is all there is", async () => {
  const metrics: Metrics[] = [], state = { metrics: tensor([[1], [1], [1]]), norms: tensor([[1], [1], [1]]) };
  const reporter = new Reporter({
    steps: 100,
    accumulate: 1,
    names: [],
    file: undefined,
    say: () => {},
    onMetrics: (m) => void metrics.push(m),
  }, 0);
  const counters = { step: 0, examples: 0, firstLosses: 0, firstSteps: 0, lastLosses: [] };
  const add = (step: number) => reporter.add({ step, label: "", epoch: 0, examples: 8, rate: 0 });
  const report = async (step: number): Promise<Metrics> => {
    await reporter.report(state as unknown as TrainState<never>, { ...counters, step });
    return metrics.at(-1)!;
  };
  add(1);
  await wait(1000); // compilation
  reporter.compiled(1);
  for (const step of [2, 3]) add(step), await wait(20);
  const first = await report(3);
  assert(first.examplesPerSecond > 16, `${first.examplesPerSecond}`); // 24 examples in more than a second are fewer
  add(4);
  assert((await report(4)).stepsPerSecond > 1);

  const alone = new Reporter({ ...reporter.options, onMetrics: (m) => void metrics.push(m) }, 0);
  alone.add({ step: 1, label: "", epoch: 0, examples: 8, rate: 0 });
  await wait(100);
  alone.compiled(1);
  await alone.report(state as unknown as TrainState<never>, { ...counters, step: 1 });
  assert(metrics.at(-1)!.examplesPerSecond < 80);
});
