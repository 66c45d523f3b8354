import { assertEquals } from "@std/assert";
import { nlvrAccuracy } from "../../src/eval/nlvr_accuracy.ts";
import { nlvrFileAccuracy } from "../../src/eval/nlvr_files.ts";
import { assertRefused } from "../testing/refusals.ts";

const statements = [
  { identifier: "1-0", label: true },
  { identifier: "1-1", label: false },
  { identifier: "2-0", label: true },
  { identifier: "dev-3-0-0", label: false },
  { identifier: "dev-3-1-0", label: false },
];

const predictions = (...labels: boolean[]): Map<string, boolean> =>
  new Map(statements.map(({ identifier }, i) => [identifier, labels[i]!]));

Deno.test("nlvrAccuracy(): a sentence counts if it is right about all of its images", () => {
  const accuracy = (...labels: boolean[]) => nlvrAccuracy(statements, predictions(...labels));
  assertEquals(accuracy(true, false, true, false, false), { precision: 1, consistency: 1 });
  assertEquals(accuracy(true, true, true, false, true), { precision: 0.6, consistency: 1 / 3 });
  assertEquals(accuracy(false, false, true, true, false), { precision: 0.6, consistency: 1 / 3 });
  assertEquals(accuracy(false, true, false, true, true), { precision: 0, consistency: 0 });
});

Deno.test("nlvrFileAccuracy() reads the original's lines, in any order and with any line breaks", async () => {
  const text = await Deno.readTextFile(new URL("fixtures/nlvr_data.jsonl", import.meta.url));
  const rows: { identifier: string; label: string }[] = text.trim().split("\n").map((line) => JSON.parse(line));
  const right = rows.filter(({ label }) => label === "true").length;
  const lines = rows.map(({ identifier }) => `${identifier},true`).reverse().join("\r\n");
  assertEquals(nlvrFileAccuracy({ data: { name: "d", text }, predictions: { name: "p", text: lines } }), {
    precision: right / rows.length,
    consistency: 2 / 8,
  });
});

Deno.test("nlvrAccuracy() refuses predictions that are not of the statements", async () => {
  const all = predictions(true, true, true, true, true);
  await assertRefused(
    [() => nlvrAccuracy([], new Map()), "there must be at least one statement"],
    [() => nlvrAccuracy(statements, new Map([["1-0", true]])), 'statement "1-1" must have a prediction'],
    [() => nlvrAccuracy([...statements, statements[0]!], all), 'statement "1-0" must come once'],
    [() => nlvrAccuracy(statements, new Map([...all, ["4-0", true]])), '"4-0" is predicted but no statement'],
  );
});

Deno.test("a sentence of NLVR2 is about several pairs of images of its set", () => {
  const identifiers = ["dev-850-0-0", "dev-850-1-0", "dev-850-0-1", "dev-851-0-0"];
  const statements = identifiers.map((identifier) => ({ identifier, label: true }));
  const predictions = new Map(identifiers.map((identifier) => [identifier, identifier !== "dev-850-1-0"]));
  assertEquals(nlvrAccuracy(statements, predictions), { precision: 0.75, consistency: 2 / 3 });
});
