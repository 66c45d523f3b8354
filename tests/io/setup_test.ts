import { assertEquals, assertMatch } from "@std/assert";
import { testWhere } from "../testing/where.ts";

/** Runs setUpAdapter() where the commands it uses are shell scripts; returns what they logged and what came of it. */
async function setUp(scripts: Record<string, string>): Promise<{ log: string; result: string }> {
  const folder = await Deno.makeTempDir();
  for (const [name, script] of Object.entries(scripts)) {
    await Deno.writeTextFile(`${folder}/${name}`, `#!/bin/sh\ncd ${folder}\n${script}\n`, { mode: 0o755 });
  }
  await Deno.writeTextFile(`${folder}/log`, "");
  const program = `Deno.env.set("PATH", "${folder}:/usr/bin:/bin");
    const { setUpAdapter } = await import("${import.meta.resolve("../../src/io/setup.ts")}");
    console.log(await setUpAdapter().then(() => "ready", (error) => error.message));`;
  const child = new Deno.Command("deno", {
    args: ["run", "--no-lock", "--allow-all", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  await new Response(program).body!.pipeTo(child.stdin);
  const { stdout } = await child.output();
  const log = await Deno.readTextFile(`${folder}/log`);
  await Deno.remove(folder, { recursive: true });
  return { log, result: new TextDecoder().decode(stdout) };
}

const sudo = `[ "$1" = -n ] && shift; exec "$@"`; // as when a user may become root without a password
const probe = "[ -e driver ]"; // stands for deno, which looks for an adapter

const onLinux = (name: string, fn: () => Promise<void>): void =>
  testWhere(Deno.build.os === "linux", "it is about Linux", name, fn);

onLinux("setUpAdapter() does nothing where there is an adapter", async () => {
  const { log, result } = await setUp({ deno: "true", sudo, "apt-get": "echo called >> log" });
  assertEquals([log, result], ["", "ready\n"]);
});

onLinux("setUpAdapter() installs the software driver where there is none, and looks again", async () => {
  const { log, result } = await setUp({
    deno: probe,
    sudo,
    "apt-get": `echo "$*" >> log; [ $1 = update ] || touch driver`,
  });
  assertEquals(log, "update\ninstall -y --no-install-recommends mesa-vulkan-drivers libvulkan1\n");
  assertEquals(result, "ready\n");
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
