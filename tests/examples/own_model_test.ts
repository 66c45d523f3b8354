import { assert, assertEquals } from "@std/assert";
import { exampleCommand } from "../testing/permissions.ts";

const script = new URL("../../examples/own_model.ts", import.meta.url).pathname;

Deno.test("a script of some 20 lines trains a model of its own", async () => {
  const text = await Deno.readTextFile(script);
  const code = text.replace(/^\/\*\*[\s\S]*?\*\//, "").split("\n").filter((line) =>
    line.trim() && !/^import/.test(line)
  );
  assert(code.length <= 25, `${code.length} lines`);
  const dir = await Deno.makeTempDir();
  const { stdout, stderr, success } = await exampleCommand("own_model", [], { check: "--check", cwd: dir }).output();
  assert(success, new TextDecoder().decode(stderr));
  const { first, last } = JSON.parse(new TextDecoder().decode(stdout));
  assert(last < 0.1 * first, `${first} to ${last}`);
  const lines = (await Deno.readTextFile(`${dir}/runs/own_model/metrics.jsonl`)).trimEnd().split("\n");
  assertEquals(lines.map((line) => JSON.parse(line).step), [50, 100, 150, 200, 250, 300]);
  await Deno.remove(dir, { recursive: true });
});
