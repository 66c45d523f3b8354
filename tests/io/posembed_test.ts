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
  assertThrows(() => resizePositionTable(new Float32Array(8), 1, 5), RangeError, "the given table has 8 rows");
  assertThrows(() => resizePositionTable(new Float32Array(5), 1, 198), RangeError, "the wanted table has 198 rows");
});
