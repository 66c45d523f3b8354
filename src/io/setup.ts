/**
 * What a command does before it needs the GPU on a machine where nothing is prepared. For the tasks of deno.json only: the
 * library (mod.ts) does not import this and installs nothing.
 *
 * @module
 */

const PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];
const PROBE = "Deno.exit(await navigator.gpu?.requestAdapter() ? 0 : 1)";

/**
 * Makes sure that WebGPU finds an adapter: where Linux has none, installs Mesa's software driver through apt-get.
 *
 * Call it before this process touches WebGPU, which looks for drivers only once. Needs permission to read and set the
 * environment, to know the user id (`sys=uid`) and to run `deno`, `apt-get` and `sudo`.
 *
 * @throws {Error} with the command to run where the driver cannot be installed.
 */
export async function setUpAdapter(): Promise<void> {
  // Mesa complains without it and WebGPU needs no more than a directory that exists.
  if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", Deno.env.get("TMPDIR") ?? "/tmp");
  if (await findsAdapter()) return;
  if (Deno.build.os !== "linux") {
    throw new Error("Cannot find a GPU adapter: WebGPU reports none; install or update the graphics driver");
  }
  console.error(`No GPU adapter: installing Mesa's software driver (${PACKAGES.join(", ")})`);
  const installed = await installPackages(PACKAGES);
  if (installed && await findsAdapter()) return;
  const reason = installed ? "there is none with Mesa's software driver either" : "the driver could not be installed";
  throw new Error(
    `Cannot find a GPU adapter: ${reason}. Install a Vulkan driver, for instance the software one, and start again:\n\n` +
      `  sudo apt-get update && sudo apt-get install -y ${PACKAGES.join(" ")}\n`,
  );
}

/** Asks in a process of its own, so that a driver installed later is seen by this one. */
async function findsAdapter(): Promise<boolean> {
  return await succeeds("deno", ["eval", "--no-config", "--no-lock", PROBE], "null");
}

/** Installs packages through apt-get, as root or through sudo without a password; whether it could. */
export async function installPackages(packages: readonly string[]): Promise<boolean> {
  const aptGet = (...args: string[]): Promise<boolean> =>
    Deno.uid() === 0 ? succeeds("apt-get", args) : succeeds("sudo", ["-n", "apt-get", ...args]);
  await aptGet("update");
  return await aptGet("install", "-y", "--no-install-recommends", ...packages);
}

/** Whether a command exists and succeeds; what it prints goes to standard error, where the progress of commands belongs. */
async function succeeds(command: string, args: string[], output: "inherit" | "null" = "inherit"): Promise<boolean> {
  try {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const child = new Deno.Command(command, { args, env, stdin: "null", stdout: "piped", stderr: output }).spawn();
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
