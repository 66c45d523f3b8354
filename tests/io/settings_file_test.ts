import { assertEquals, assertRejects } from "@std/assert";
import { readSettingsFile } from "../../src/io/settings_file.ts";
import { UsageError } from "../../src/settings/errors.ts";

Deno.test("readSettingsFile() reads a file, and refuses a folder and one that is not there in a sentence", async () => {
  const folder = await Deno.makeTempDir(), path = `${folder}/a.toml`;
  await Deno.writeTextFile(path, "mask = 0.5\n");
  assertEquals(await readSettingsFile(path), { name: path, values: { mask: 0.5 } });
  const refusal = async (path: string, options?: { hint: string }): Promise<string> =>
    (await assertRejects(() => readSettingsFile(path, options), UsageError)).message;
  assertEquals(await refusal(folder), `Cannot read the settings in "${folder}": it is a folder`);
  const none = `${folder}/small`, sentence = `Cannot read the settings in "${none}": there is no such file`;
  assertEquals(await refusal(none), sentence);
  assertEquals(
    await refusal(none, { hint: "did you mean --model small?" }),
    `${sentence}; did you mean --model small?`,
  );
  await Deno.remove(folder, { recursive: true });
});
