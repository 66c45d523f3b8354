import { assertEquals, assertRejects } from "@std/assert";
import { writeFileAtomic } from "../../src/io/atomic.ts";

async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name).sort();
}

Deno.test("writeFileAtomic() writes text, bytes and pieces, and leaves no temporary file", async () => {
  const folder = await Deno.makeTempDir();
  await writeFileAtomic(`${folder}/a.txt`, "größer");
  await writeFileAtomic(`${folder}/b.bin`, new Uint8Array([1, 2]));
  await writeFileAtomic(`${folder}/c.bin`, [new Uint8Array([1]), new Uint8Array([2, 3])]);
  assertEquals(await Deno.readTextFile(`${folder}/a.txt`), "größer");
  assertEquals(await Deno.readFile(`${folder}/c.bin`), new Uint8Array([1, 2, 3]));
  assertEquals(await namesIn(folder), ["a.txt", "b.bin", "c.bin"]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("writeFileAtomic() keeps the old file when the data fails half way", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/state.json`;
  await writeFileAtomic(path, "old");
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(new Uint8Array(10));
    throw new Error("device lost");
  }
  await assertRejects(() => writeFileAtomic(path, failing()), Error, "device lost");
  assertEquals(await Deno.readTextFile(path), "old");
  assertEquals(await namesIn(folder), ["state.json"]);
  await Deno.remove(folder, { recursive: true });
});
