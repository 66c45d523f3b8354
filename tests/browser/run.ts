/**
 * `deno task test:browser [DIR] [PART] [REPORT]`: runs page.ts in headless Chromium, whose WebGPU (Dawn on SwiftShader) is another
 * one than Deno's (wgpu). DIR is a folder of values from the official code, tests/golden/data if not given; with PART, only rows
 * run whose name contains it. The row "doctor" is what `deno task doctor` does; REPORT is the file that its report goes to. One
 * row per file; the last line counts; the exit status is 1 if anything failed.
 */
import { writeFileAtomic } from "../../src/io/atomic.ts";
import { withFolder } from "../testing/folders.ts";
import { openChromium, setUpChromium } from "./chromium.ts";
import type { Row } from "./rows.ts";

/** A page that says nothing for so long hangs, seconds. */
const SILENCE = 240;

const here = new URL(".", import.meta.url);

/**
 * Makes page.js and its parts in a folder. A part is what is imported when it is needed: so the page never asks for the native
 * code and Node's modules that decode images, which no browser has.
 */
async function bundle(folder: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("deno", {
    args: [
      ...["bundle", "--quiet", "--no-lock", "--platform", "browser", "--code-splitting", "--outdir", folder],
      new URL("page.ts", here).href,
    ],
    stdin: "null",
  }).output();
  if (!success) throw new Error(`Cannot bundle page.ts: ${new TextDecoder().decode(stderr)}`);
}

/** Counts what the page reports and prints its rows. */
class Report {
  passed = 0;
  failed = 0;
  /** The doctor's report, as JSON. */
  doctor: string | undefined;
  /** Why the page ended; empty if it came to its end. */
  readonly end: Promise<string>;
  #finish: (reason: string) => void = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.end = new Promise((resolve) => this.#finish = resolve);
    this.watch("to be opened");
  }

  finish(reason: string): void {
    clearTimeout(this.#timer);
    this.#finish(reason);
  }

  row({ name, detail, failures, seconds }: Row): void {
    this.watch(name);
    failures.length ? this.failed++ : this.passed++;
    const state = failures.length ? "FAILED" : "ok    ";
    console.log(`${name.padEnd(42)} ${state} ${seconds.toFixed(1).padStart(5)} s, ${detail}`);
    for (const failure of failures) console.log(`    ${failure}`);
  }

  /** Waits for the next sign of life; `now` is the one that came. */
  watch(now: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.finish(`The page hangs: it has said nothing for ${SILENCE} s; the last it did was ${now}`);
    }, SILENCE * 1000);
  }
}

/** The page, its program from a folder, the golden files and the places that rows are posted to. */
function serve(program: string, dir: string, report: Report): Deno.HttpServer<Deno.NetAddr> {
  const page =
    `<!doctype html><meta charset="utf-8"><title>Gritstone</title><script type="module" src="/page.js"></script>`;
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    if (request.method === "POST") return receive(pathname, await request.json(), report);
    if (pathname === "/") return new Response(page, { headers: { "content-type": "text/html" } });
    if (pathname.startsWith("/golden/")) return await file(dir + decodeURIComponent(pathname.slice("/golden".length)));
    if (pathname.endsWith(".js")) return await file(program + pathname, "text/javascript");
    return new Response(null, { status: 404 });
  });
}

// deno-lint-ignore no-explicit-any
function receive(path: string, body: any, report: Report): Response {
  if (path === "/row") report.row(body);
  if (path === "/note") console.log(body);
  if (path === "/beat") report.watch(body);
  if (path === "/doctor") report.doctor = JSON.stringify(body, null, 2) + "\n";
  if (path === "/end") report.finish(body);
  return new Response();
}

async function file(path: string, type = "application/octet-stream"): Promise<Response> {
  try {
    return new Response(await Deno.readFile(path), { headers: { "content-type": type } });
  } catch {
    return new Response(null, { status: 404 });
  }
}

async function main(dir: string, part: string, kept: string): Promise<number> {
  await Deno.stat(`${dir}/index.json`).catch(() => {
    throw new Error(`Cannot read "${dir}/index.json": the folder must hold values of the official code`);
  });
  await setUpChromium();
  const report = new Report();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => report.finish(`Interrupted by ${signal}`));
  }
  const reason = await withFolder(async (program) => {
    await bundle(program);
    await using server = serve(program, dir, report);
    await using browser = await openChromium(`http://127.0.0.1:${server.addr.port}/#${encodeURIComponent(part)}`);
    browser.ended.then((text) => report.finish(`The browser ended before the page did:\n${text}`));
    return await report.end;
  });
  if (kept && report.doctor) await writeFileAtomic(kept, report.doctor);
  if (reason) report.failed++, console.log(reason);
  if (report.passed + report.failed === 0) report.failed++, console.log(`No name of a row contains "${part}"`);
  console.log(`${report.passed} passed, ${report.failed} failed`);
  return report.failed ? 1 : 0;
}

try {
  const [dir = new URL("../golden/data", here).pathname, part = "", kept = ""] = Deno.args;
  Deno.exit(await main(dir, part, kept));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
