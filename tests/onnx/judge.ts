/** One test: its model on its inputs, compared with what is expected, as ONNX's own runner does. */
import type { TestFiles } from "./archive.ts";
import { typeOf, valueOf } from "./decode.ts";
import { checkTypes, Runner } from "./graph.ts";
import { operators } from "./operators/mod.ts";
import { decodeModel, decodeTensor, type ModelMessage } from "./schema.ts";
import { type ElementType, isFloat, isInteger, NotExpressible, rangeOf } from "./types.ts";
import { Value } from "./value.ts";

/** What came of one test. */
export interface Outcome {
  /** Its folder. */
  readonly name: string;
  /** Its operator. */
  readonly operator: string;
  readonly result: "passed" | "failed" | "error" | "not expressible";
  /** Why it did not pass. */
  readonly reason?: string;
  readonly milliseconds: number;
}

/** |got - expected| <= atol + rtol * |expected|. */
interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/**
 * ONNX's tolerances: its runner's default, and what its own reference implementation is given for Fourier transforms, whose
 * expected values hold the rounding of others, and for bfloat16, where 1e-3 is less than the last bit.
 */
function toleranceOf(operator: string, type: ElementType): Tolerance {
  if (type === "bfloat16") return { rtol: 1e-2, atol: 1e-2 };
  return { rtol: 1e-3, atol: operator === "DFT" || operator === "STFT" ? 1e-6 : 1e-7 };
}

/** Runs one test; undefined if neither its name nor its operators contain `filter`. */
export async function runTest(test: TestFiles, filter = ""): Promise<Outcome | undefined> {
  const start = performance.now();
  let operator = "?";
  const outcome = (result: Outcome["result"], reason?: string): Outcome => ({
    name: test.name,
    operator,
    result,
    ...(reason ? { reason } : {}),
    milliseconds: Math.round(performance.now() - start),
  });
  try {
    const model = decodeModel(test.model);
    operator = operatorOf(model);
    if (!`${test.name} ${operator}`.toLowerCase().includes(filter.toLowerCase())) return undefined;
    checkTypes(model);
    for (const set of test.sets) {
      const difference = await runSet(model, set, operator);
      if (difference) return outcome("failed", difference);
    }
    return outcome("passed");
  } catch (error) {
    if (error instanceof NotExpressible) return outcome("not expressible", error.message);
    return outcome(
      "error",
      error instanceof Error ? Deno.env.get("ONNX_TRACE") ? error.stack : error.message : String(error),
    );
  }
}

/** The operator of a test; of the nodes that a function was written out as, the function, which is in their values' names. */
function operatorOf({ graph }: ModelMessage): string {
  const names = [...new Set(graph.node.map((n) => n.domain ? `${n.domain}.${n.opType}` : n.opType))];
  if (names.length === 1) return names[0]!;
  const written = graph.node.flatMap((n) => n.output).map((name) => /^([A-Za-z]+)_.*_function_/.exec(name)?.[1]);
  const known = written.find((name) => name);
  return known ? `${known} (its nodes)` : "graphs of several operators";
}

/** The first difference in words, undefined if there is none. */
async function runSet(
  model: ModelMessage,
  { inputs, outputs }: TestFiles["sets"][number],
  operator: string,
): Promise<string | undefined> {
  const expected = outputs.map((file) => valueOf(decodeTensor(file)));
  const results = await new Runner(operators, model).run(inputs.map((file) => valueOf(decodeTensor(file))));
  const numbers = await Value.readAll(results);
  for (const [i, e] of expected.entries()) {
    const declared = typeOf(model.graph.output[i]!.type!.tensorType!.elemType);
    const difference = results[i]
      ? await compare(results[i], numbers[i]!, e, toleranceOf(operator, e.type))
      : "there is no such result";
    if (difference) return `output ${i} (${declared}): ${difference}`;
  }
  return undefined;
}

/** The first difference in words, undefined if there is none. */
async function compare(
  got: Value,
  numbers: ArrayLike<number>,
  expected: Value,
  tolerance: Tolerance,
): Promise<string | undefined> {
  if (got.type !== expected.type) return `the type must be ${expected.type}: it is ${got.type}`;
  if (got.shape.join() !== expected.shape.join()) return `the shape must be [${expected.shape}]: it is [${got.shape}]`;
  const wanted = await expected.numbers();
  let count = 0, first = -1;
  for (let i = 0; i < wanted.length; i++) {
    if (close(numbers[i]!, wanted[i]!, isFloat(expected.type) ? tolerance : undefined)) continue;
    count++;
    if (first < 0) first = i;
  }
  if (count && isInteger(expected.type)) checkRange(expected.type, wanted);
  return count
    ? `${count} of ${wanted.length} differ, the first at ${first}: ${numbers[first]} instead of ${wanted[first]}`
    : undefined;
}

/** Results of 64 bits are computed in 32. */
function checkRange(type: Value["type"], wanted: ArrayLike<number>): void {
  const [least, most] = rangeOf(type.startsWith("u") ? "uint32" : "int32");
  if (Array.from(wanted).some((x) => x < least || x > most)) throw new NotExpressible("integers beyond 32 bits");
}

/** Without a tolerance numbers must be equal. */
function close(got: number, wanted: number, tolerance: Tolerance | undefined): boolean {
  if (got === wanted || (Number.isNaN(got) && Number.isNaN(wanted))) return true;
  if (!tolerance || !Number.isFinite(wanted)) return false;
  return Math.abs(got - wanted) <= tolerance.atol + tolerance.rtol * Math.abs(wanted);
}
