import { assert, assertEquals, assertThrows } from "@std/assert";
import { type NamedTensor, toFloat32 } from "../../src/io/dtype.ts";
import { resizePositionTable } from "../../src/io/posembed.ts";
import { parseSafetensors } from "../../src/io/safetensors.ts";

const golden = parseSafetensors(Deno.readFileSync(new URL("./fixtures/posembed.safetensors", import.meta.url)));

for (const name of ["16_to_36", "36_to_16", "16_to_25", "4_to_81", "same"]) {
  Deno.test(`resizePositionTable() equals the official values, ${name}`, () => {
    const given = golden.get(`${name}.in`) as NamedTensor, wanted = golden.get(`${name}.out`) as NamedTensor;
    const [, rows, width] = wanted.shape as [number, number, number];
    const result = resizePositionTable(toFloat32(given), width, rows), expected = toFloat32(wanted);
    assertEquals(result.length, expected.length);
    assertEquals(result.slice(0, width), expected.slice(0, width));
    // The stored values were rounded from doubles; ours are doubles rounded once.
    const worst = Math.max(...result.map((value, at) => Math.abs(value - expected[at]!)));
    assert(worst <= 3e-7, `differs by ${worst}`);
  });
}

Deno.test("resizePositionTable() refuses grids that are not square", () => {
  const refuses = (given: number, wanted: number): Error =>
    assertThrows(
      () => resizePositionTable(new Float32Array(given), 1, wanted),
      RangeError,
      `they have ${given} and ${wanted}`,
    );
  refuses(8, 5);
  refuses(5, 198);
  refuses(5, 16); // a class token in one only
});

Deno.test("resizePositionTable() of tables without a class token is that of the patches alone", () => {
  const patches = Float32Array.from({ length: 8 }, (_, i) => Math.sin(i)), table = Float32Array.of(7, 7, ...patches);
  assertEquals(resizePositionTable(patches, 2, 9), resizePositionTable(table, 2, 10).slice(2));
  assertEquals(resizePositionTable(patches, 2, 4), patches);
});
