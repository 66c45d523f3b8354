import { assertEquals } from "@std/assert";
import { stepKernels } from "./collect.ts";

/** Namespaces of DXC, the compiler of Direct3D 12: a variable of such a name hides what it generates. */
const TAKEN = ["dx", "vk"];

/** Names of the list that stand in a kernel as names of its own, not as fields behind a dot. */
function taken(code: string): string[] {
  const plain = code.replace(/\/\/.*/g, "");
  return TAKEN.filter((name) => new RegExp(`(?<![\\w.$])${name}\\b`).test(plain));
}

Deno.test("taken() sees names and neither fields, comments nor parts of names", () => {
  assertEquals(taken("let dx = 1;"), ["dx"]);
  assertEquals(taken("x.dx = at_dx + dx_part; // dx"), []);
});

Deno.test("no kernel has a name that Direct3D's compiler takes for a namespace", async () => {
  const folder = new URL("../../kernels/", import.meta.url);
  const files = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  const texts = await Promise.all(files.map(async (name) => ({
    name,
    code: await Deno.readTextFile(new URL(name, folder)),
  })));
  const emitted = [...await stepKernels("base", 8), ...await stepKernels("small", 8)];
  assertEquals([...texts, ...emitted].flatMap(({ name, code }) => taken(code).map((word) => `${name}: ${word}`)), []);
});
