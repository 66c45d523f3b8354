/**
 * What runs in the browser: values of the official code with the kernels for both kinds of adapter, then the unit tests of the
 * kernels. Every row is posted to the server that gave the page.
 */
import { defaultDevice, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { Golden } from "../golden/golden.ts";
import { judge, resultFiles } from "../golden/sets.ts";
import { examine, wrongFamilies } from "../doctor/examine.ts";
import type { Row } from "./rows.ts";
import { type UnitTest, unitTests } from "./unit_tests.ts";

async function post(path: string, body: unknown): Promise<void> {
  await fetch(path, { method: "POST", body: JSON.stringify(body) });
}

async function download(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`Cannot read ${path}: the server answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

const part = decodeURIComponent(location.hash.slice(1));

/** Runs a check and posts its row; what the check throws is a failure of its row. */
async function report(name: string, check: () => Promise<Omit<Row, "name" | "seconds">>): Promise<void> {
  if (!name.includes(part)) return;
  const start = performance.now();
  const outcome = await check().catch((error) => ({ detail: "stopped", failures: [describe(error)] }));
  const row: Row = { name, ...outcome, seconds: (performance.now() - start) / 1000 };
  await post("/row", row);
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

async function checkGolden(golden: Golden, file: string): Promise<Omit<Row, "name" | "seconds">> {
  const { row, failures } = await judge(golden, file) ?? { row: "not covered", failures: ["no check knows this set"] };
  return { detail: row.trim(), failures };
}

async function checkUnits(tests: readonly UnitTest[]): Promise<Omit<Row, "name" | "seconds">> {
  const failures: string[] = [], ignored = tests.filter(({ ignore }) => ignore).map(({ name }) => name);
  for (const { name, fn } of tests.filter(({ ignore }) => !ignore)) {
    try {
      await fn();
    } catch (error) {
      failures.push(`${name}: ${describe(error)}`);
    }
    await post("/beat", name);
  }
  const detail = [`${tests.length - ignored.length} tests`, ...ignored].join(", ");
  return { detail, failures: tests.length ? failures : ["the file registers no test"] };
}

/** What `deno task doctor` does, with the browser's adapter; the server keeps the report. */
async function doctor(): Promise<Omit<Row, "name" | "seconds">> {
  const report = await examine(await defaultDevice(), (line) => void post("/beat", line));
  await post("/doctor", report);
  const failures = wrongFamilies(report).map((family) => `${family} is wrong`);
  return { detail: `${report.checks.length} families of kernels`, failures };
}

async function main(): Promise<void> {
  const golden = await Golden.open("/golden", download);
  const { adapter, profile } = await defaultDevice();
  await post("/note", `adapter: ${adapter}, ${JSON.stringify(profile)}`);
  await report("doctor", doctor);
  for (const kind of ["gpu", "cpu"] as const) {
    setDefaultDevice(await openDevice({ kind }));
    for (const file of resultFiles(golden)) await report(`${file} (${kind})`, () => checkGolden(golden, file));
  }
  for await (const { file, tests } of unitTests()) await report(`tests/${file}`, () => checkUnits(tests));
}

main().then(() => post("/end", ""), (error) => post("/end", describe(error)));
