import { assert, assertEquals } from "@std/assert";
import { runExample } from "../testing/permissions.ts";

/** What a script prints first, and that it is short. */
async function printed(
  name: string,
  steps: number,
): Promise<{ loss: { first: number; last: number }; equal?: boolean }> {
  const script = new URL(`../../examples/${name}.ts`, import.meta.url).pathname, text = await Deno.readTextFile(script);
  const code = text.replace(/\/\*\*[\s\S]*?\*\//g, "").split("\n").filter((line) => line.trim());
  assert(code.length <= 60, `${name} has ${code.length} lines`);
  const { out, err, code: status } = await runExample(name, `${steps}`);
  assertEquals(status, 0, err);
  return JSON.parse(out.split("\n")[0]!);
}

// Short runs: what the scripts reach with their own number of steps is in their head.
const runs = [
  ["autoencoder", 300, 0.6],
  ["character_model", 40, 0.9],
  ["digits", 20, 1.05],
  ["dual_encoder", 60, 0.7],
] as const;
for (const [name, steps, share] of runs) {
  Deno.test(`examples/${name}.ts learns in at most 60 lines`, async () => {
    const { loss: { first, last }, equal } = await printed(name, steps);
    assert(last < share * first, `${first} to ${last}`);
    assert(equal !== false, "a resumed run must give the numbers of a whole one");
  });
}
