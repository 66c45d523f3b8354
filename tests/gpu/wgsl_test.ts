import { assertEquals } from "@std/assert";
import { specialize } from "../../src/gpu/wgsl.ts";
import { assertRefused } from "../testing/refusals.ts";

Deno.test("specialize() replaces constants and keeps their types and comments", () => {
  const source = "const TM = 4u; // rows\nconst SCALE: f32 = 0.5;\nconst FLAG = false;\nlet x = TM;";
  assertEquals(specialize(source), source);
  assertEquals(
    specialize(source, { consts: { TM: 8, SCALE: 0.25, FLAG: true } }),
    "const TM = 8u; // rows\nconst SCALE: f32 = 0.25;\nconst FLAG = true;\nlet x = TM;",
  );
});

Deno.test("specialize() unrolls nested loops over numbers and constants", () => {
  const source = `const N = 2u;
//#for i 0 N
a$i = 0;
  //#for j i 3
b[$i][$j];
  //#end
//#end
$other stays`;
  assertEquals(specialize(source).split("\n").slice(1), [
    ...["a0 = 0;", "b[0][0];", "b[0][1];", "b[0][2];"],
    ...["a1 = 0;", "b[1][1];", "b[1][2];", "$other stays"],
  ]);
  assertEquals(specialize(source, { consts: { N: 1 } }).split("\n").length, 6);
});

Deno.test("specialize() keeps one branch of a condition", () => {
  const source = `const WIDE = true;\n//#if WIDE\nwide\n//#if 0\nnever\n//#end\n//#else\nnarrow\n//#end\nend`;
  assertEquals(specialize(source).split("\n").slice(1), ["wide", "end"]);
  assertEquals(specialize(source, { consts: { WIDE: false } }).split("\n").slice(1), ["narrow", "end"]);
  assertEquals(specialize("//#if 0\nx\n//#end"), "");
});

Deno.test("specialize() fills hooks, empty where none is given", () => {
  const source = "a\n//#hook emit\nb";
  assertEquals(specialize(source, { hooks: { emit: "fn emit() {}" } }), "a\nfn emit() {}\nb");
  assertEquals(specialize(source), "a\n\nb");
});

Deno.test("specialize() refuses unknown constants, names, lines and open blocks", async () => {
  await assertRefused(
    [() => specialize("const A = 1u;", { consts: { A: 2, B: 3 } }), "it has no constant B", Error],
    [() => specialize("//#for i 0 N\n//#end"), `no value for "N"`, Error],
    [() => specialize("//#repeat 3\n//#end"), "unknown line //#repeat", Error],
    [() => specialize("x\n//#if 1\ny"), `the block opened by "//#if 1" has no //#end`, Error],
  );
});
