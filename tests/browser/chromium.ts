/**
 * Headless Chromium with WebGPU on SwiftShader, from the distribution's package.
 */
import { installPackages } from "../../src/io/setup.ts";

const BROWSER = "/usr/bin/chromium";
const PACKAGE = "chromium";

const flags = [
  "--headless",
  "--no-sandbox", // the only page is ours, and containers forbid what the sandbox is made of
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--disable-gpu-sandbox",
  "--disable-gpu-watchdog", // a software adapter may compute for long
  "--disable-dev-shm-usage",
  "--disable-breakpad",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--disable-default-apps",
  "--disable-extensions",
  "--no-proxy-server",
  "--no-first-run",
];

/**
 * Installs the browser through apt-get where it is missing.
 *
 * @throws {Error} with the command to run where it cannot be installed.
 */
export async function setUpChromium(): Promise<void> {
  if (await exists(BROWSER)) return;
  if (Deno.build.os === "linux") {
    console.error(`No ${BROWSER}: installing the package ${PACKAGE}`);
    if (await installPackages([PACKAGE]) && await exists(BROWSER)) return;
  }
  throw new Error(
    `Cannot find the browser ${BROWSER} and it could not be installed. Install it on Debian with the following command ` +
      `and start again:\n\n  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${PACKAGE}\n`,
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A running browser. */
export interface Browser extends AsyncDisposable {
  /** The last lines it wrote to standard error, once it has ended by itself. */
  readonly ended: Promise<string>;
}

/** Opens `url` in a browser with an empty profile, which is removed when the browser is disposed of. */
export async function openChromium(url: string): Promise<Browser> {
  const profile = await Deno.makeTempDir({ prefix: "gritstone-browser-" });
  const child = new Deno.Command(BROWSER, {
    args: [...flags, `--user-data-dir=${profile}`, url],
    env: { HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  return {
    ended: lastLines(child.stderr),
    async [Symbol.asyncDispose]() {
      try {
        child.kill();
      } catch { /* it has ended */ }
      await child.status;
      await removeProfile(profile);
    },
  };
}

async function lastLines(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) text = (text + part).slice(-2000);
  return text.trim();
}

/** Processes of the browser may write for a moment after it has ended. */
async function removeProfile(profile: string): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      return await Deno.remove(profile, { recursive: true });
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
