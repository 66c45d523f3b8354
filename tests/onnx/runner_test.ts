import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { createTarGzip } from "npm:nanotar@0.3.0";
import { testsOf, unpacked } from "./archive.ts";
import { byOperator, summary } from "./report.ts";
import { filesOf, type Given, outcomeOf, outcomeOfOperator } from "./testing.ts";

const vector = (...data: number[]): Given => ({ shape: [data.length], data });

Deno.test("a result must have the type, the shape and, within ONNX's tolerances, the numbers that are expected", async () => {
  const sum = (expected: Given) => outcomeOfOperator("Add", [vector(1, 2), vector(10, 0)], [expected]);
  assertEquals((await sum(vector(11, 2))).result, "passed");
  assertEquals((await sum(vector(11.0109, 2))).result, "passed"); // 0.1 % of 11.0109 is 0.011
  const wrong = await sum(vector(11.012, 2));
  assertEquals(wrong.result, "failed");
  assertEquals(wrong.reason, "output 0 (float): 1 of 2 differ, the first at 0: 11 instead of 11.01200008392334");
  assertMatch((await sum({ shape: [1, 2], data: [11, 2] })).reason!, /the shape must be \[1,2\]: it is \[2\]/);
  assertMatch((await sum({ ...vector(11, 2), type: "double" })).reason!, /the type must be double: it is float/);
  const root = (expected: Given) => outcomeOfOperator("Sqrt", [vector(-1, 4)], [expected]);
  assertEquals((await root(vector(NaN, 2))).result, "passed");
  assertEquals((await root(vector(0, 2))).result, "failed");
  assertEquals((await root(vector(NaN, Infinity))).result, "failed");
});

Deno.test("integers wrap at the size of their type, halves are rounded and overflow to infinity", async () => {
  const add = (type: "int8" | "uint8" | "uint16" | "float16", a: number[], b: number[], y: number[]) => {
    const given = (data: number[]): Given => ({ ...vector(...data), type });
    return outcomeOfOperator("Add", [given(a), given(b)], [given(y)]).then((o) => o.reason ?? o.result);
  };
  assertEquals(await add("int8", [127, -128, 3], [1, -1, 4], [-128, 127, 7]), "passed");
  assertEquals(await add("uint8", [255, 200], [1, 100], [0, 44]), "passed");
  assertEquals(await add("uint16", [65535, 7], [2, 8], [1, 15]), "passed");
  assertEquals(await add("float16", [2048, 65504, -65504], [1, 65504, -32], [2048, Infinity, -Infinity]), "passed");
});

Deno.test("what our ops cannot hold is not expressible, with the reason; what goes wrong is an error", async () => {
  const long = (x: number): Given => ({ shape: [1], data: [x], type: "int64" });
  const add = await outcomeOfOperator("Add", [long(2 ** 40), long(1)], [long(2 ** 40 + 1)]);
  assertEquals([add.result, add.reason], ["not expressible", "integers beyond 32 bits"]);
  const overflow = await outcomeOfOperator("Mul", [long(2 ** 20), long(2 ** 20)], [long(2 ** 40)]);
  assertEquals([overflow.result, overflow.reason], ["not expressible", "integers beyond 32 bits"]);
  const unknown = await outcomeOfOperator("Frobnicate", [vector(1)], [vector(1)]);
  assertEquals([unknown.result, unknown.reason], ["not expressible", "no operator Frobnicate"]);
  const text = await outcomeOfOperator("Identity", [{ ...vector(1), type: "string" }], [{
    ...vector(1),
    type: "string",
  }]);
  assertEquals([text.result, text.reason], ["not expressible", "strings"]);
  const error = await outcomeOfOperator("Add", [vector(1, 2), vector(1, 2, 3)], [vector(1, 2)]);
  assertEquals(error.result, "error");
  assertMatch(error.reason!, /Cannot broadcast shapes \[2\], \[3\]/);
});

Deno.test("branches and loops see the names around them; functions take attributes of the node", async () => {
  const flag = (x: number): Given => ({ shape: [], data: [x], type: "bool" });
  const graph = (op: string) => ({ inputs: [], outputs: ["r"], nodes: [[op, ["b", "b"], ["r"]] as const] });
  const branch = (x: number, y: number) =>
    outcomeOf("If", {
      nodes: [["If", ["a"], ["y0"], { then_branch: { g: graph("Add") }, else_branch: { g: graph("Mul") } }]],
      inputs: [flag(x), vector(3)],
      outputs: [vector(y)],
    });
  assertEquals((await branch(1, 6)).result, "passed");
  assertEquals((await branch(0, 9)).result, "passed");
  // v doubles three times, and what it was before is kept.
  const body = {
    inputs: ["i", "going", "v"],
    outputs: ["going", "next", "v"],
    nodes: [["Add", ["v", "v"], ["next"]] as const],
  };
  const loop = await outcomeOf("Loop", {
    nodes: [["Loop", ["a", "", "b"], ["y0", "y1"], { body: { g: body } }]],
    inputs: [{ shape: [], data: [3], type: "int64" }, vector(1, 5)],
    outputs: [vector(8, 40), { shape: [3, 2], data: [1, 5, 2, 10, 4, 20] }],
  });
  assertEquals(loop.reason ?? loop.result, "passed");
  const own = await outcomeOf("function", {
    nodes: [["own.Slope", ["a"], ["y0"], { by: { f: 0.5 } }]],
    functions: [{
      name: "Slope",
      domain: "own",
      inputs: ["x"],
      outputs: ["y"],
      nodes: [["LeakyRelu", ["x"], ["y"], { alpha: { ref: "by" } }]],
    }],
    inputs: [vector(-4, 4)],
    outputs: [vector(-2, 4)],
  });
  assertEquals(own.reason ?? own.result, "passed");
});

Deno.test("tests are found in archives, and refused where they are not whole", async () => {
  const { model, sets: [set] } = filesOf("t", {
    nodes: [["Neg", ["a"], ["y0"]]],
    inputs: [vector(1)],
    outputs: [vector(-1)],
  });
  const data = "node/t/test_data_set_0/",
    files = {
      "node/t/model.onnx": model,
      [`${data}input_0.pb`]: set!.inputs[0]!,
      [`${data}output_0.pb`]: set!.outputs[0]!,
    };
  const pack = (names: (keyof typeof files)[]) =>
    createTarGzip(names.map((name) => ({ name: `./${name}`, data: files[name] as Uint8Array<ArrayBuffer> })));
  const tests = testsOf(await unpacked(await pack(Object.keys(files) as (keyof typeof files)[])));
  assertEquals(tests, [{ name: "node/t", model, sets: [{ inputs: [set!.inputs[0]!], outputs: [set!.outputs[0]!] }] }]);
  const alone = await unpacked(await pack(["node/t/model.onnx"]));
  assertThrows(
    () => testsOf(alone),
    Error,
    "Cannot read node/t: it must have a test_data_set_0 with output_0.pb: it has none",
  );
  assertThrows(() => testsOf(new Map()), Error, "there must be files NAME/model.onnx: there is none");
  await assertRejects(() => unpacked(new Uint8Array([1, 2, 3])));
});

Deno.test("the report counts by operator and gives reasons", () => {
  const outcome = { name: "t", operator: "Add", milliseconds: 1 };
  const outcomes = [
    { ...outcome, result: "passed" as const },
    { ...outcome, result: "failed" as const, reason: "x" },
    { ...outcome, operator: "If", result: "not expressible" as const, reason: "strings" },
  ];
  assertEquals(byOperator(outcomes).slice(1), [
    "Add                                            1       1       0       0",
    "If                                             0       0       0       1",
    "    not expressible: strings (1)",
  ]);
  assertEquals(summary(outcomes, 2).at(-1), "3 tests: 1 passed (33.3 %), 1 failed, 0 errors, 1 not expressible, 2 s");
});
