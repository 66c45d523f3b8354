/** Branches and loops: the host decides and repeats, their bodies run as graphs. */
import * as ops from "../../../mod.ts";
import { axisOf, type Operator, type Operators } from "../call.ts";
import { NotExpressible } from "../types.ts";
import { Value } from "../value.ts";

const branch: Operator = async (call) => {
  const [condition] = (await call.numbers(0))!;
  return await call.run(call.graph(condition ? "then_branch" : "else_branch")!, []);
};

/** Values that each turn gave, along a new first axis. */
function stacked(values: readonly Value[], empty: () => Value, axis = 0): Value {
  const [first] = values;
  if (!first) return empty();
  if (!first.size) return Value.of(first.type, first.shape.toSpliced(axis, 0, values.length), []);
  return Value.from(first.type, ops.stack(values.map((v) => v.tensor), axis));
}

/** Body: turn, condition, carried values -> condition, carried values, values of this turn. */
const loop: Operator = async (call) => {
  const body = call.graph("body")!,
    [most = Infinity] = await call.numbers(0) ?? [],
    [start = 1] = await call.numbers(1) ?? [];
  let carried = call.inputs.slice(2).map((_, i) => call.value(i + 2)), going = start;
  const scans: Value[][] = body.output.slice(1 + carried.length).map(() => []);
  for (let turn = 0; turn < most && going; turn++) {
    const given = [Value.of("int64", [], [turn]), Value.of("bool", [], [going])];
    const [condition, ...results] = await call.run(body, [...given, ...carried]);
    going = (await condition!.numbers())[0]!;
    carried = results.slice(0, carried.length);
    results.slice(carried.length).forEach((v, i) => scans[i]!.push(v));
  }
  return [...carried, ...scans.map((values) => stacked(values, () => Value.of("float", [0], [])))];
};

/** The slice `at` of an axis, without the axis. */
function element(x: Value, axis: number, at: number): Value {
  return Value.from(x.type, ops.squeeze(ops.slice(x.tensor, axis, at, at + 1), axis));
}

/** Body: states, elements -> states, results. Before version 9 inputs have a batch in front, and lengths come first. */
const scan: Operator = async (call) => {
  if (call.opset < 9) {
    return await scanOfBatch(call.inputs, call.int("num_scan_inputs", 1), call.run, call.graph("body")!);
  }
  const inputs = call.inputs.map((_, i) => call.value(i)), count = call.int("num_scan_inputs", 1);
  const option = (name: string, i: number): number => call.ints(name)?.[i] ?? 0;
  const scanned = inputs.slice(inputs.length - count);
  const axes = scanned.map((x, i) => axisOf(option("scan_input_axes", i), x.shape.length));
  const backwards = scanned.map((_, i) => option("scan_input_directions", i) === 1);
  const { states, results } = await scanOver(
    inputs.slice(0, -count),
    scanned,
    axes,
    backwards,
    (v) => call.run(call.graph("body")!, v),
  );
  return [
    ...states,
    ...results.map((values, i) => {
      const ordered = option("scan_output_directions", i) ? values.toReversed() : values;
      return stacked(ordered, emptyScan, axisOf(option("scan_output_axes", i), values[0]!.shape.length + 1));
    }),
  ];
};

const emptyScan = (): Value => {
  throw new NotExpressible("scans over no elements");
};

async function scanOver(
  start: readonly Value[],
  scanned: readonly Value[],
  axes: readonly number[],
  backwards: readonly boolean[],
  run: (inputs: readonly Value[]) => Promise<Value[]>,
): Promise<{ states: readonly Value[]; results: Value[][] }> {
  const length = scanned[0]!.shape[axes[0]!]!;
  let states = start, results: Value[][] | undefined;
  for (let t = 0; t < length; t++) {
    const elements = scanned.map((x, i) => element(x, axes[i]!, backwards[i] ? length - 1 - t : t));
    const given = await run([...states, ...elements]);
    states = given.slice(0, start.length);
    results ??= given.slice(start.length).map(() => []);
    given.slice(start.length).forEach((v, i) => results![i]!.push(v));
  }
  return { states, results: results ?? emptyScan() as never };
}

async function scanOfBatch(
  given: readonly (Value | undefined)[],
  count: number,
  run: Parameters<Operator>[0]["run"],
  body: Parameters<Parameters<Operator>[0]["run"]>[0],
): Promise<Value[]> {
  if (given[0]) throw new NotExpressible("scans over sequences of several lengths");
  const inputs = given.slice(1).map((v) => v!),
    batch = inputs[0]!.shape[0]!,
    scanned = inputs.slice(inputs.length - count);
  const examples: Value[][] = [];
  for (let b = 0; b < batch; b++) {
    const own = (values: readonly Value[]): Value[] => values.map((v) => element(v, 0, b));
    const { states, results } = await scanOver(
      own(inputs.slice(0, -count)),
      own(scanned),
      scanned.map(() => 0),
      [],
      (v) => run(body, v),
    );
    examples.push([...states, ...results.map((values) => stacked(values, emptyScan))]);
  }
  return examples[0]!.map((_, i) => stacked(examples.map((e) => e[i]!), emptyScan));
}

/** Optional values are refused where they are given as such: what is left is a tensor, or nothing. */
const hasElement: Operator = (call) => Value.of("bool", [], [Number(call.inputs[0] !== undefined)]);

/** The table. */
export const control: Operators = {
  If: branch,
  Loop: loop,
  Scan: scan,
  OptionalHasElement: hasElement,
  OptionalGetElement: (call) => call.value(0),
};
