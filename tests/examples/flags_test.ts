import { assertEquals, assertThrows } from "@std/assert";
import { flagHelp, parseFlags, UsageError } from "../../examples/flags.ts";

const flags = {
  rate: { default: 0.1, help: "how fast", paper: "1e-4" },
  dropout: { default: -1, help: "share", min: -1 },
  count: { default: 3, help: "how many", min: 1 },
  name: { default: "", help: "of it" },
  mode: { default: "a", choices: ["a", "b"], help: "which" },
  keep: { default: true, help: "whether" },
  drop: { default: false, help: "whether not" },
};
const defaults = { rate: 0.1, dropout: -1, count: 3, name: "", mode: "a", keep: true, drop: false };

Deno.test("parseFlags() takes values, switches and their negation, and a preset below them", () => {
  assertEquals(parseFlags(flags, []), defaults);
  const args = ["--rate", "1e-3", "--dropout", "-0.5", "--name=x", "--mode", "b", "--no-keep", "--drop"];
  const given = { rate: 1e-3, dropout: -0.5, count: 3, name: "x", mode: "b", keep: false, drop: true };
  assertEquals(parseFlags(flags, args), given);
  assertEquals(parseFlags(flags, args, { rate: 7, count: 8 }), { ...given, count: 8 });
  assertEquals(parseFlags(flags, ["--dropout", "-1"]), defaults);
});

Deno.test("parseFlags() refuses what is unknown or out of range in a sentence", () => {
  const cases: [string[], string][] = [
    [["--rates", "1"], 'Unknown argument "--rates"'],
    [["file"], 'Unknown argument "file"'],
    [["--drop", "file"], 'Unknown argument "file"'],
    [["-3"], 'Unknown argument "-3"'],
    [["--rate", "x"], '--rate must be a number of at least 0: it is "x"'],
    [["--rate", "-1"], '--rate must be a number of at least 0: it is "-1"'],
    [["--rate", " "], '--rate must be a number of at least 0: it is " "'],
    [["--rate", "Infinity"], "--rate must be a number"],
    [["--rate"], "--rate must be a number"],
    [["--count", "0"], '--count must be a whole number of at least 1: it is "0"'],
    [["--count", "1.5"], '--count must be a whole number of at least 1: it is "1.5"'],
    [["--mode", "c"], '--mode must be one of a, b: it is "c"'],
  ];
  for (const [args, sentence] of cases) assertThrows(() => parseFlags(flags, args), UsageError, sentence);
});

Deno.test("flagHelp() shows every flag with its default and the paper's value", () => {
  const help = flagHelp(flags);
  assertEquals(help.split("\n").slice(0, 2), ["  --rate N", "      how fast (default: 0.1; paper: 1e-4)"]);
  assertEquals([...help.matchAll(/^ {2}--(\w+)/gm)].map((m) => m[1]), Object.keys(flags));
});
