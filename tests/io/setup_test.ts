import { assertEquals, assertMatch } from "@std/assert";
import { keepWidth, WIDTH_VARIABLE } from "../../src/io/vector_width.ts";
import { withFolder } from "../testing/folders.ts";
import { testWhere } from "../testing/where.ts";

/**
 * Runs setUpAdapter() where commands that it uses are shell scripts; returns what they logged, what was said and what came of it:
 * "ready" and the backends that are left, and what `then`, a program, prints.
 */
async function setUp(
  scripts: Record<string, string>,
  { env = {}, then = "" }: { env?: Record<string, string>; then?: string } = {},
): Promise<{ log: string; said: string; result: string }> {
  const folder = await Deno.makeTempDir();
  for (const [name, script] of Object.entries(scripts)) {
    await Deno.writeTextFile(`${folder}/${name}`, `#!/bin/sh\ncd ${folder}\n${script}\n`, { mode: 0o755 });
  }
  await Deno.writeTextFile(`${folder}/log`, "");
  const path = "deno" in scripts ? `${folder}:/usr/bin:/bin` : `${folder}:${Deno.env.get("PATH")}`;
  const program = `Deno.env.set("PATH", "${path}");
    const { setUpAdapter } = await import("${import.meta.resolve("../../src/io/setup.ts")}");
    const left = () => "ready: " + (Deno.env.get("DENO_WEBGPU_BACKEND") || "all");
    console.log(await setUpAdapter().then(left, (error) => error.message));
    ${then}`;
  const child = new Deno.Command("deno", {
    args: ["run", "--no-lock", "--allow-all", "-"],
    env: { DENO_WEBGPU_BACKEND: "", GRITSTONE_CACHE: "off", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Response(program).body!.pipeTo(child.stdin);
  const { stdout, stderr } = await child.output(),
    [result, said] = [stdout, stderr].map((b) => new TextDecoder().decode(b));
  const log = await Deno.readTextFile(`${folder}/log`);
  await Deno.remove(folder, { recursive: true });
  return { log, result: result!, said: said! };
}

const sudo = `[ "$1" = -n ] && shift; exec "$@"`; // as when a user may become root without a password
const probe = "[ -e driver ]"; // stands for deno, which looks for an adapter
const openGl = `[ -z "$DENO_WEBGPU_BACKEND" ] || [ -e driver ]`; // the same where OpenGL finds one
const native = "ready: vulkan,metal,dx12\n";

const onLinux = (name: string, fn: () => Promise<void>): void =>
  testWhere(Deno.build.os === "linux", "it is about Linux", name, fn);

onLinux("setUpAdapter() does nothing where there is an adapter", async () => {
  const { log, result } = await setUp({ deno: "true", sudo, "apt-get": "echo called >> log" });
  assertEquals([log, result], ["", native]);
});

onLinux("setUpAdapter() installs the software driver where there is none, and looks again", async () => {
  const { log, result } = await setUp({
    deno: probe,
    sudo,
    "apt-get": `echo "$*" >> log; [ $1 = update ] || touch driver`,
  });
  assertEquals(log, "update\ninstall -y --no-install-recommends mesa-vulkan-drivers libvulkan1\n");
  assertEquals(result, native);
});

onLinux("setUpAdapter() says what to run where it may not install", async () => {
  const { result } = await setUp({ deno: probe, sudo: "exit 1", "apt-get": "exit 100" });
  assertMatch(result, /^Cannot find a GPU adapter: the driver could not be installed/);
  assertMatch(result, /\n {2}sudo apt-get update && sudo apt-get install -y mesa-vulkan-drivers libvulkan1\n/);
});

onLinux("setUpAdapter() reports a driver that brings no adapter", async () => {
  const { result } = await setUp({ deno: "false", sudo, "apt-get": "true" });
  assertMatch(result, /there is none with Mesa's software driver either/);
});

onLinux("setUpAdapter() prefers a native adapter, which it installs, to that of OpenGL", async () => {
  const { log, result } = await setUp({
    deno: openGl,
    sudo,
    "apt-get": `echo $1 >> log; [ $1 = update ] || touch driver`,
  });
  assertEquals([log, result], ["update\ninstall\n", native]);
});

onLinux(
  "setUpAdapter() goes on with OpenGL where it may not install, and says what it costs and what to run",
  async () => {
    const { said, result } = await setUp({ deno: openGl, sudo: "exit 1", "apt-get": "exit 100" });
    assertEquals(result, "ready: all\n");
    assertMatch(said, /finds an adapter only through OpenGL: steps take .* times as long/);
    assertMatch(said, /\n {2}sudo apt-get update && sudo apt-get install -y mesa-vulkan-drivers libvulkan1\n/);
  },
);

onLinux("setUpAdapter() takes the backend that is asked for", async () => {
  const { log, result } = await setUp({ deno: openGl, sudo, "apt-get": "echo called >> log; exit 1" }, {
    env: { DENO_WEBGPU_BACKEND: "gl" },
  });
  assertEquals(log, "");
  assertMatch(result, /^Cannot find a GPU adapter/);
});

/** What set-up makes of the vector width that is kept in a folder. */
async function widthAfter(cache: string, env: Record<string, string> = {}): Promise<string> {
  const then = `console.log(Deno.env.get("${WIDTH_VARIABLE}") || "the driver's own");`;
  const given = { GRITSTONE_CACHE: cache, [WIDTH_VARIABLE]: "", ...env };
  const { result } = await setUp({ deno: "true", sudo, "apt-get": "exit 1" }, { env: given, then });
  return result.replace(native, "").trim();
}

onLinux(
  "setUpAdapter() takes the vector width that is kept, unless one is asked for or tuning is refused",
  () =>
    withFolder(async (cache) => {
      assertEquals(await widthAfter(cache), "the driver's own");
      await keepWidth(512, cache);
      assertEquals(await widthAfter(cache), "512");
      assertEquals(await widthAfter(cache, { [WIDTH_VARIABLE]: "128" }), "128");
      assertEquals(await widthAfter(cache, { GRITSTONE_TUNING: "none" }), "the driver's own");
    }),
);

/** The manifest that leads Vulkan's loader to Mesa's driver for CPUs. */
async function manifestOfMesa(): Promise<string | undefined> {
  try {
    const folder = "/usr/share/vulkan/icd.d";
    for await (const { name } of Deno.readDir(folder)) if (name.startsWith("lvp_icd")) return `${folder}/${name}`;
  } catch { /* no drivers at all */ }
  return undefined;
}

const manifest = Deno.build.os === "linux" ? await manifestOfMesa() : undefined;

testWhere(
  !!manifest,
  "there is no driver to hide",
  "a Vulkan driver that comes by apt-get is found and used",
  async () => {
    const folder = await Deno.makeTempDir(), driver = `${folder}/driver.json`;
    const { said, result } = await setUp(
      { sudo, "apt-get": `[ $1 = update ] || cp "${manifest}" "${driver}"` },
      {
        env: { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver }, // as if there were no other
        then: `const { openDevice } = await import("${import.meta.resolve("../../src/gpu/device.ts")}");
        console.log((await openDevice()).profile.subgroups);
        Deno.exit(0);`,
      },
    );
    await Deno.remove(folder, { recursive: true });
    assertMatch(said, /No native GPU adapter: installing/);
    assertEquals(result, `${native}true\n`);
  },
);

/** Whether there is the library by which WebGPU reaches OpenGL; distributions put it into one of these folders. */
async function hasOpenGl(): Promise<boolean> {
  const folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
  const found = folders.map((folder) => Deno.stat(`${folder}/libEGL.so.1`).then(() => true, () => false));
  return (await Promise.all(found)).includes(true);
}

testWhere(
  !!manifest && await hasOpenGl(),
  "there is no driver to hide, or no OpenGL",
  "where only OpenGL has an adapter, the library warns once",
  async () => {
    const nothing = { VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent" };
    const { said, result } = await setUp({ sudo: "exit 1", "apt-get": "exit 100" }, {
      env: nothing,
      then: `const { openDevice } = await import("${import.meta.resolve("../../src/gpu/device.ts")}");
      const opened = await Promise.allSettled([openDevice(), openDevice()]);
      console.log(opened.map((o) => o.status).join());
      Deno.exit(0);`,
    });
    assertEquals(result, "ready: all\nfulfilled,fulfilled\n");
    assertEquals(said.split("WebGPU reaches ").length, 2, said);
  },
);
