import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/settings/errors.ts";
import { type Fields, fields, none, type Values } from "../../src/settings/field.ts";
import { count, number, oneOf, share, text, toggle } from "../../src/settings/kinds.ts";
import { peek, readSettings } from "../../src/settings/read.ts";
import type { SettingsFile } from "../../src/settings/text.ts";
import { example } from "./example.ts";

const defaults: Values<typeof example> = {
  data: [],
  textLength: 25,
  resolution: undefined,
  augment: "full",
  workers: 1,
  mask: 0.5,
  offset: 0,
  lr: 1e-3,
  dropout: undefined,
  negatives: undefined,
  detachKeys: true,
  remat: false,
  out: "runs/x",
  init: undefined,
  overwrite: false,
};

const file = (values: Record<string, unknown>): SettingsFile => ({ name: "run.toml", values });

Deno.test("readSettings() gives the defaults, in the order of the declaration, and types that follow from it", () => {
  const values = readSettings(example, {});
  assertEquals(values, defaults);
  assertEquals(Object.keys(values), Object.keys(example));
  const typed: {
    textLength: number;
    resolution: number | undefined;
    augment: "full" | "none";
    data: readonly string[];
  } = values;
  assertEquals(typed.resolution, undefined);
  // @ts-expect-error: it may be not set
  const length: number = values.resolution;
  // @ts-expect-error: no choice of it
  const isNaive = values.augment === "naive";
  assertEquals([length, isNaive], [undefined, false]);
});

Deno.test("readSettings() takes flags of all kinds", () => {
  const cases: [string[], Partial<Values<typeof example>>][] = [
    [["--text-length", "2"], { textLength: 2 }],
    [["--text-length=512"], { textLength: 512 }],
    [["--resolution", "64"], { resolution: 64 }],
    [["--resolution", "none"], { resolution: undefined }],
    [["--offset", "-0.5"], { offset: -0.5 }],
    [["--offset", "-1e-3", "--remat"], { offset: -1e-3, remat: true }],
    [["--mask", "1", "--lr", "2e-3"], { mask: 1, lr: 2e-3 }],
    [["--negatives", "top1"], { negatives: "top1" }],
    [["--augment", "none"], { augment: "none" }],
    [["--no-detach-keys", "--remat"], { detachKeys: false, remat: true }],
    [["--detach-keys=false", "--remat=true", "--overwrite"], { detachKeys: false, remat: true, overwrite: true }],
    [["--data", "a.json,b c.json"], { data: ["a.json", "b c.json"] }],
    [["--data", "none"], { data: [] }],
    [["--out", "a=b", "--init=--x=\ny"], { out: "a=b", init: "--x=\ny" }],
  ];
  for (const [args, values] of cases) assertEquals(readSettings(example, { args }), { ...defaults, ...values });
});

Deno.test("readSettings() takes -0 for 0, as files of JSON do", () => {
  assert(Object.is(readSettings(example, { args: ["--offset", "-0"] }).offset, 0));
  assert(Object.is(readSettings(example, { file: file({ offset: -0 }) }).offset, 0));
});

Deno.test("readSettings() lets flags win over the file, the file over the preset and the preset over the defaults", () => {
  const preset = { mask: 0.1, textLength: 3, workers: 4, resolution: undefined, overwrite: true } as const;
  const values = { mask: 0.2, "text-length": 4, data: ["a,b"], dropout: "none", augment: "none", remat: true };
  assertEquals(readSettings(example, { args: ["--mask", "0.3"], file: file(values), preset }), {
    ...defaults,
    mask: 0.3,
    textLength: 4,
    workers: 4,
    data: ["a,b"],
    augment: "none",
    remat: true,
    overwrite: true,
  });
});

Deno.test("readSettings() refuses flags in a sentence", () => {
  const cases: [string[], string][] = [
    [["--mask", "x"], '--mask must be a number from 0 to 1: it is "x"'],
    [["--mask", "1.5"], "--mask must be a number from 0 to 1: it is 1.5"],
    [["--mask", " "], '--mask must be a number from 0 to 1: it is " "'],
    [["--mask", "none"], '--mask must be a number from 0 to 1: it is "none"'],
    [["--offset", "-Infinity"], "--offset must be a number: it is -Infinity"],
    [["--lr", "0"], "--lr must be a number above 0: it is 0"],
    [["--dropout", "1"], "--dropout must be a number of at least 0 and below 1, or none: it is 1"],
    [["--text-length", "1"], "--text-length must be a whole number from 2 to 512: it is 1"],
    [["--text-length", "2.5"], "--text-length must be a whole number from 2 to 512: it is 2.5"],
    [["--workers", "0"], "--workers must be a whole number of at least 1: it is 0"],
    [["--resolution", "0"], "--resolution must be a whole number of at least 1, or none: it is 0"],
    [["--augment", "flip"], '--augment must be one of full, none: it is "flip"'],
    [["--negatives", "hard"], '--negatives must be one of top1, random, or none: it is "hard"'],
    [["--remat=yes"], '--remat must be true or false: it is "yes"'],
    [["--out", ""], '--out must be a text that is not empty: it is ""'],
    [["--data", "a,,b"], '--data must be a list of texts that are not empty: it is ["a","","b"]'],
    [["--data="], '--data must be a list of texts that are not empty: it is [""]'],
    [["--mask"], "--mask must be followed by its value: nothing follows it"],
    [["--mask", "--remat"], "--mask must be followed by its value: nothing follows it"],
    [["--no-remat=true"], '--no-remat must stand alone: it is "--no-remat=true"'],
    [["--mask", "0.5", "--mask=0.3"], "--mask must be given once: it is given as 0.5 and as 0.3"],
    [["--remat", "--no-remat"], "--remat must be given once: it is given as true and as false"],
    [["--mosk", "1"], "Unknown flag --mosk; did you mean --mask?"],
    [["--textLength", "3"], "Unknown flag --textLength; did you mean --text-length?"],
    [["--no-rmat"], "Unknown flag --no-rmat; did you mean --no-remat?"],
    [["--no-mask"], "Unknown flag --no-mask; did you mean --mask?"],
    [["--constructor"], "Unknown flag --constructor"],
    [["file"], 'Unknown argument "file": no flag that takes a value stands before it'],
    [["--remat", "-3"], 'Unknown argument "-3": no flag that takes a value stands before it'],
    [["--mask", "0.5", "0.3"], 'Unknown argument "0.3": no flag that takes a value stands before it'],
    [["--"], 'Unknown argument "--": no flag that takes a value stands before it'],
  ];
  for (const [args, sentence] of cases) {
    assertEquals(assertThrows(() => readSettings(example, { args }), UsageError).message, sentence);
  }
});

Deno.test("readSettings() refuses a file and a preset in a sentence, even where a flag wins", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ mask: 2 }, '"run.toml": "mask" must be a number from 0 to 1: it is 2'],
    [{ mask: "0.5" }, '"run.toml": "mask" must be a number from 0 to 1: it is "0.5"'],
    [{ mask: null }, '"run.toml": "mask" must be a number from 0 to 1: it is null'],
    [{ remat: "true" }, '"run.toml": "remat" must be true or false: it is "true"'],
    [{ data: "a.json" }, '"run.toml": "data" must be a list of texts that are not empty: it is "a.json"'],
    [{ data: [1] }, '"run.toml": "data" must be a list of texts that are not empty: it is [1]'],
    [{ mosk: 1 }, '"run.toml": unknown setting "mosk"; did you mean "mask"?'],
    [{ textLength: 3 }, '"run.toml": unknown setting "textLength"; did you mean "text-length"?'],
    [{ toString: 1 }, '"run.toml": unknown setting "toString"'],
    [{ overwrite: true }, '"run.toml": "overwrite" must be given as the flag --overwrite, not in a file'],
  ];
  for (const [values, sentence] of cases) {
    const read = () => readSettings(example, { args: ["--mask", "0.5"], file: file(values) });
    assertEquals(assertThrows(read, UsageError).message, sentence);
  }
  const loose: Fields = example;
  const refusal = (preset: Record<string, unknown>) =>
    assertThrows(() => readSettings(loose, { args: ["--mask", "0.5"], preset }), UsageError).message;
  assertEquals(refusal({ mask: 2 }), `The preset's "mask" must be a number from 0 to 1: it is 2`);
  assertEquals(refusal({ mask: undefined }), `The preset's "mask" must be a number from 0 to 1: it is undefined`);
  assertEquals(refusal({ mosk: 1 }), 'The preset sets "mosk", which is no setting');
});

Deno.test("peek() reads one setting and leaves the others alone", () => {
  const common = fields({ recipe: oneOf(["grit", "albef"], "grit", "what is trained"), demo: toggle(false, "demo") });
  const args = ["--other", "1", "--recipe", "albef", "--no-demo", "--flag", "--flag"];
  assertEquals(peek(common, "recipe", { args }), "albef");
  assertEquals(peek(common, "demo", { args, preset: { demo: true, mosk: 1 } }), false);
  assertEquals(peek(common, "recipe", { args: ["--other"] }), "grit");
  assertEquals(peek(common, "recipe", { args: [], file: file({ other: {}, recipe: "albef" }) }), "albef");
  assertEquals(peek(common, "recipe", { args: ["--demo"], preset: { recipe: "albef" } }), "albef");
  const sentence = '--recipe must be one of grit, albef: it is "x"';
  assertEquals(assertThrows(() => peek(common, "recipe", { args: ["--recipe", "x"] }), UsageError).message, sentence);
});

Deno.test("fields() refuses names that are not in camelCase and defaults that are no values", () => {
  const cases: [Fields, string][] = [
    [{ "text-length": count(1, "") }, `"text-length": its name must be in camelCase: it is "text-length"`],
    [{ format: text("a", "") }, `"format": its name must be another one: settings files use it for themselves`],
    [{ x: share(2, "") }, `"x": its default must be a number from 0 to 1: it is 2`],
    [{ x: count(0, "") }, `"x": its default must be a whole number of at least 1: it is 0`],
    [{ x: number(1, "", { max: 0 }) }, `"x": its default must be a number of at most 0: it is 1`],
    [{ x: text("", "") }, `"x": its default must be a text that is not empty: it is ""`],
  ];
  for (const [declared, sentence] of cases) {
    const { message } = assertThrows(() => fields(declared), RangeError);
    assertEquals(message, `Cannot declare the setting ${sentence}`);
  }
  fields({ x: oneOf(["a"], none, "") });
  // @ts-expect-error: no choice of it
  assertThrows(() => fields({ x: oneOf(["a", "b"], "c", "") }), RangeError, "its default must be one of a, b");
});
