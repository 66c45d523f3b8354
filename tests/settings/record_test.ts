import { assertEquals } from "@std/assert";
import { readSettings } from "../../src/settings/read.ts";
import { compareSettings, resumable, type SettingsRecord } from "../../src/settings/record.ts";
import { example } from "./example.ts";

const recordOf = (...args: string[]): SettingsRecord => resumable(example, readSettings(example, { args }));

Deno.test("resumable() keeps what a resumed run must have the same, as JSON has it", () => {
  const record = recordOf("--data", "a,b", "--workers", "3", "--overwrite");
  assertEquals(record, {
    data: ["a", "b"],
    "text-length": 25,
    resolution: "none",
    augment: "full",
    mask: 0.5,
    offset: 0,
    lr: 1e-3,
    dropout: "none",
    negatives: "none",
    "detach-keys": true,
    init: "none",
  });
  assertEquals(JSON.parse(JSON.stringify(record)), record);
});

Deno.test("compareSettings() finds the first difference and names its flag", () => {
  const saved = recordOf("--data", "a,b", "--mask", "0.3");
  const cases: [string[], string | undefined][] = [
    [["--data", "a,b", "--mask", "0.3"], undefined],
    [["--data", "a,b", "--mask", "0.3", "--workers", "2", "--remat", "--out", "y", "--overwrite"], undefined],
    [["--data", "a,b"], "--mask was 0.3 and is 0.5 now"],
    [["--data", "b,a", "--mask", "0.1"], '--data was ["a","b"] and is ["b","a"] now'],
    [["--data", "a,b", "--mask", "0.3", "--resolution", "64"], '--resolution was "none" and is 64 now'],
    [["--data", "a,b", "--mask", "0.3", "--no-detach-keys"], "--detach-keys was true and is false now"],
  ];
  for (const [args, difference] of cases) {
    assertEquals(compareSettings(JSON.parse(JSON.stringify(saved)), recordOf(...args)), difference);
  }
});

Deno.test("compareSettings() tells settings that only the checkpoint has, or only this version", () => {
  const { mask, ...older } = recordOf();
  assertEquals(compareSettings(older, recordOf()), "--mask is 0.5 now, and the checkpoint does not say what it was");
  assertEquals(
    compareSettings({ ...recordOf(), beta: { a: 1 } }, recordOf()),
    '"beta" was {"a":1} and is no setting now',
  );
  assertEquals(mask, 0.5);
});
