import { assertEquals, assertRejects } from "@std/assert";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { fileNames, isIn, removeIfThere, sha256IfThere, sha256OfText, textIfThere } from "../../src/io/files.ts";
import { openPth } from "../../src/io/pth.ts";
import { openSafetensors } from "../../src/io/safetensors.ts";
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

testInFolder("checkpoints and folders that cannot be read are told in a sentence", async (dir) => {
  const nothing = Deno.errors.NotFound, sentence = `Cannot read "${dir}/a": there is no such file`;
  for (const open of [openCheckpoint, openSafetensors, openPth]) {
    await assertRejects(() => open(`${dir}/a`), nothing, sentence);
  }
  await assertRejects(() => openCheckpoint(dir), TypeError, `Cannot read "${dir}": it is not a file`);
  await Deno.writeTextFile(`${dir}/b`, "");
  await assertRejects(() => fileNames(`${dir}/b`), Error, `Cannot use "${dir}/b" as a folder: it is a file`);
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
