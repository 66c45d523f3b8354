import { assertEquals } from "@std/assert";
import { fileNames, isIn, removeIfThere, sha256IfThere, sha256OfText, textIfThere } from "../../src/io/files.ts";
import { testInFolder } from "../testing/folders.ts";

const hexadecimal = (bytes: ArrayBuffer): string =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

testInFolder("sha256IfThere() is that of the whole file", async (dir) => {
  const bytes = new Uint8Array(300_001).map((_, i) => i * 7);
  await Deno.writeFile(`${dir}/a`, bytes);
  assertEquals(await sha256IfThere(`${dir}/a`), hexadecimal(await crypto.subtle.digest("SHA-256", bytes)));
  await Deno.writeTextFile(`${dir}/b`, "é");
  assertEquals(await sha256OfText("é"), await sha256IfThere(`${dir}/b`));
});

testInFolder("what is not there is undefined, empty or left alone", async (dir) => {
  assertEquals(await sha256IfThere(`${dir}/a`), undefined);
  assertEquals(await textIfThere(`${dir}/a`), undefined);
  assertEquals(await fileNames(`${dir}/a`), []);
  await removeIfThere(`${dir}/a`);
});

testInFolder(
  "a file lies in a folder where links lead there, and not where only the names begin alike",
  async (dir) => {
    for (const folder of ["run", "run2"]) await Deno.mkdir(`${dir}/${folder}`);
    await Deno.writeTextFile(`${dir}/run2/a`, "");
    await Deno.symlink(`${dir}/run2`, `${dir}/link`);
    assertEquals(await isIn(`${dir}/run2`, `${dir}/link/a`), true);
    assertEquals(await isIn(`${dir}/link`, `${dir}/run2/../run2/a`), true);
    assertEquals(await isIn(`${dir}/run`, `${dir}/run2/a`), false);
  },
);
