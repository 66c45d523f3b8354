import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/settings/errors.ts";
import { fields, withDefaults } from "../../src/settings/field.ts";
import { count, share } from "../../src/settings/kinds.ts";
import { readSettings } from "../../src/settings/read.ts";
import { parseStages, staged } from "../../src/settings/stages.ts";

const choices = ["random", "drawn"] as const;

Deno.test("parseStages() reads values and the steps at which they end", () => {
  assertEquals(parseStages("drawn", choices), [{ value: "drawn" }]);
  assertEquals(parseStages("random:5,drawn:70,random", choices), [
    { value: "random", until: 5 },
    { value: "drawn", until: 70 },
    { value: "random" },
  ]);
  for (
    const text of [
      "",
      "hard",
      "random:5",
      "random,drawn",
      "random:5,drawn:5,random",
      "random:7,drawn:5,random",
      "random:0,drawn",
      "random:-1,drawn",
      "random:1.5,drawn",
      "random:1e9,drawn",
      "random:5:6,drawn",
      "random:5,,drawn",
      " random",
    ]
  ) assertEquals(parseStages(text, choices), undefined, text);
});

Deno.test("a staged setting is read as its text, and refused in a sentence", () => {
  const declared = fields({ negatives: staged(choices, "drawn", "which are taken") });
  assertEquals(readSettings(declared, { args: [] }).negatives, "drawn");
  assertEquals(readSettings(declared, { args: ["--negatives", "random:5,drawn"] }).negatives, "random:5,drawn");
  assertThrows(
    () => readSettings(declared, { args: ["--negatives", "random:5"] }),
    UsageError,
    '--negatives must be one of random, drawn, or such with the steps at which they end, as in "random:500,drawn": it is "random:5"',
  );
});

Deno.test("withDefaults() gives every setting a value", () => {
  const declared = fields({ mask: share(0.5, "share"), size: count(3, "size") });
  assertEquals(withDefaults(declared), { mask: 0.5, size: 3 });
  assertEquals(withDefaults(declared, { size: 4 }), { mask: 0.5, size: 4 });
});
