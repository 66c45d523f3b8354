import { defaultDevice } from "../src/gpu/device.ts";
import { featuresPage } from "./features.ts";
import { assert, assertEquals } from "@std/assert";
import { SETTINGS_PAGE, settingsPage } from "./settings_page.ts";

Deno.test("the example of README.md runs without permissions and prints what README.md says", async () => {
  const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  const [, code, expected] = /```ts\n(.*?)```.*?```text\n(.*?)```/s.exec(readme)!;
  const program = code!.replaceAll(`"./mod.ts"`, JSON.stringify(import.meta.resolve("../mod.ts")));
  const child = new Deno.Command("deno", {
    args: ["run", "--no-config", "--no-lock", "--no-prompt", "--check", "--ext=ts", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Response(program).body!.pipeTo(child.stdin);
  const { success, stdout, stderr } = await child.output();
  assert(success, new TextDecoder().decode(stderr));
  assertEquals(new TextDecoder().decode(stdout), expected);
});

Deno.test("examples/README.md lists the settings as they are declared; deno task settings makes it anew", async () => {
  assertEquals(await Deno.readTextFile(SETTINGS_PAGE), settingsPage());
});

const { profile } = await defaultDevice();

Deno.test({
  name: "FEATURES.md says which ops take which types and have gradients; deno task features makes it anew",
  ignore: !profile.f16, // the page lists 16-bit floats
  async fn() {
    const page = await featuresPage();
    assertEquals(await Deno.readTextFile(new URL("../FEATURES.md", import.meta.url)), page);
    const once = page.split("\n").filter((line) => line.includes("| yes | no |"));
    assertEquals(once, [], "what has a gradient has a second one");
  },
});
