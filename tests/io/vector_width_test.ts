import { assertEquals, assertMatch } from "@std/assert";
import { keepWidth, keptWidth } from "../../src/io/vector_width.ts";
import { testInFolder } from "../testing/folders.ts";
import { warnings } from "../testing/warnings.ts";

testInFolder("a width is kept for the system that it was measured on, until it is taken back", async (cache) => {
  const folder = `${cache}/deep`;
  assertEquals(keptWidth(folder), undefined);
  await keepWidth(512, folder);
  assertEquals(keptWidth(folder), 512);
  assertEquals(keptWidth("off"), undefined);
  const path = `${folder}/llvmpipe-width.json`, text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, text.replace(/\d+ cores/, "1000 cores"));
  assertEquals(keptWidth(folder), undefined, "another machine, whose CPU may have no such registers");
  await keepWidth(undefined, folder);
  assertEquals([...Deno.readDirSync(folder)], []);
  await keepWidth(undefined, folder);
});

testInFolder("a file that holds no width is one warning, and is not used", async (cache) => {
  await keepWidth(256, cache);
  const path = `${cache}/llvmpipe-width.json`, whole = JSON.parse(await Deno.readTextFile(path));
  for (
    const text of ["{", "null", JSON.stringify({ ...whole, width: "rm -rf" }), JSON.stringify({ ...whole, width: 300 })]
  ) {
    await Deno.writeTextFile(path, text);
    const said = await warnings(() => Promise.resolve(assertEquals(keptWidth(cache), undefined)));
    assertEquals(said.length, 1, text);
    assertMatch(said[0]!, /^The vector width in ".*" is not used: .*; "deno task doctor" writes it anew$/);
  }
});
