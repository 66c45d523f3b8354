/**
 * What a command does before it needs the GPU on a machine where nothing is prepared. For the tasks of deno.json only: the
 * library (mod.ts) does not import this and installs nothing.
 *
 * @module
 */
import { OPENGL_COST, VULKAN_PACKAGES } from "../gpu/adapter.ts";
import { useKeptWidth } from "./vector_width.ts";

const PROBE = "Deno.exit(await navigator.gpu?.requestAdapter() ? 0 : 1)";

/** Where Deno looks for adapters; it looks everywhere if this is not set. */
const BACKEND = "DENO_WEBGPU_BACKEND";
/** All but OpenGL, which on many Linux machines is all there is and gives a slow adapter of the same name. */
const NATIVE = "vulkan,metal,dx12";

/**
 * Makes sure that WebGPU finds an adapter, a native one before one of OpenGL: where Linux has no native one, installs Mesa's Vulkan
 * drivers through apt-get; where it may not, goes on with OpenGL and says what that costs.
 *
 * Call it before this process touches WebGPU, which looks for drivers only once. Needs permission to read and set the
 * environment, to know the user id (`sys=uid`) and to run `deno`, `apt-get` and `sudo`. Who sets `DENO_WEBGPU_BACKEND` decides
 * which adapters count.
 *
 * What `deno task doctor` has kept of the adapter is used from now on, by child processes too, unless `tuning` is false; see
 * `DeviceOptions.tuning`. Kernels that it found wrong are avoided in any case.
 *
 * @throws {Error} with the command to run where there is no adapter and the driver cannot be installed.
 */
export async function setUpAdapter({ tuning = true }: { readonly tuning?: boolean } = {}): Promise<void> {
  if (!tuning) Deno.env.set("GRITSTONE_TUNING", "none");
  if (Deno.env.get("GRITSTONE_TUNING") !== "none") useKeptWidth();
  // Mesa complains without it and WebGPU needs no more than a directory that exists.
  if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", Deno.env.get("TMPDIR") ?? "/tmp");
  const chosen = Deno.env.get(BACKEND), backends = chosen || NATIVE;
  if (!chosen) Deno.env.delete(BACKEND); // set to nothing, it leaves out all
  const command = `sudo apt-get update && sudo apt-get install -y ${VULKAN_PACKAGES.join(" ")}`;
  const found = await findsAdapter(backends);
  const installed = !found && Deno.build.os === "linux" && backends.includes("vulkan") && await installDriver();
  if (found || installed && await findsAdapter(backends)) return Deno.env.set(BACKEND, backends);
  if (!chosen && await findsAdapter()) {
    return console.error(`WebGPU finds an adapter only through OpenGL: ${OPENGL_COST}.${remedy(command)}`);
  }
  if (Deno.build.os !== "linux") {
    throw new Error("Cannot find a GPU adapter: WebGPU reports none; install or update the graphics driver");
  }
  const reason = installed ? "there is none with Mesa's software driver either" : "the driver could not be installed";
  throw new Error(
    `Cannot find a GPU adapter: ${reason}. Install a Vulkan driver, for instance the software one, and start again:\n\n` +
      `  ${command}\n`,
  );
}

function remedy(command: string): string {
  return Deno.build.os === "linux"
    ? ` To be faster, stop, install a Vulkan driver, and start again:\n\n  ${command}\n`
    : " Install or update the graphics driver to be faster";
}

async function installDriver(): Promise<boolean> {
  console.error(`No native GPU adapter: installing Mesa's Vulkan drivers (${VULKAN_PACKAGES.join(", ")})`);
  return await installPackages(VULKAN_PACKAGES);
}

/** Asks in a process of its own, so that a driver installed later is seen by this one. Without `backends` all count. */
async function findsAdapter(backends?: string): Promise<boolean> {
  const env: Record<string, string> = backends ? { [BACKEND]: backends } : {};
  return await succeeds("deno", ["eval", "--no-config", "--no-lock", PROBE], { output: "null", env });
}

/** Installs packages through apt-get, as root or through sudo without a password; whether it could. */
export async function installPackages(packages: readonly string[]): Promise<boolean> {
  const aptGet = (...args: string[]): Promise<boolean> =>
    Deno.uid() === 0 ? succeeds("apt-get", args) : succeeds("sudo", ["-n", "apt-get", ...args]);
  await aptGet("update");
  return await aptGet("install", "-y", "--no-install-recommends", ...packages);
}

/** Whether a command exists and succeeds; what it prints goes to standard error, where the progress of commands belongs. */
async function succeeds(
  command: string,
  args: string[],
  { output = "inherit", env = {} }: { output?: "inherit" | "null"; env?: Record<string, string> } = {},
): Promise<boolean> {
  try {
    const options = { args, env: { DEBIAN_FRONTEND: "noninteractive", ...env }, stderr: output };
    const child = new Deno.Command(command, { ...options, stdin: "null", stdout: "piped" }).spawn();
    const forward = output === "null"
      ? child.stdout.cancel()
      : child.stdout.pipeTo(Deno.stderr.writable, { preventClose: true });
    const [{ success }] = await Promise.all([child.status, forward]);
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
