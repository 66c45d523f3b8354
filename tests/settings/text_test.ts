import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../src/settings/errors.ts";
import type { Values } from "../../src/settings/field.ts";
import { readSettings } from "../../src/settings/read.ts";
import { parseSettingsText, settingsText } from "../../src/settings/text.ts";
import { example } from "./example.ts";

type Example = Values<typeof example>;

/** Valid values, as odd as they may be; `next` gives numbers from 0 to 1. */
function randomValues(next: () => number): Example {
  const choose = <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)]!;
  const word = (): string =>
    Array.from(
      { length: 1 + Math.floor(next() * 4) },
      () => choose(['"', "\\", ",", "=", "#", ":", "\n", "ß", "\ud800", "none"]),
    )
      .join("");
  const texts = ["none of it", word(), word()];
  return {
    data: Array.from({ length: Math.floor(next() * 3) }, word),
    textLength: 2 + Math.floor(next() * 511),
    resolution: choose([undefined, 1, 2 ** 53 - 1]),
    augment: choose(["full", "none"]),
    workers: 1 + Math.floor(next() * 1e9),
    mask: choose([0, 1, next()]),
    offset: (next() - 0.5) * 10 ** Math.floor(next() * 600 - 300),
    lr: choose([Number.MIN_VALUE, 0.1 + 0.2, next() + 1e-9]),
    dropout: choose([undefined, 0, next()]),
    negatives: choose([undefined, "top1", "random"]),
    detachKeys: next() < 0.5,
    remat: next() < 0.5,
    out: choose(texts),
    init: choose([undefined, ...texts.filter((text) => text !== "none")]),
    overwrite: false,
  };
}

Deno.test("settingsText() is JSON with all settings but those of one start", () => {
  const values = readSettings(example, { args: ["--data", "a.json", "--overwrite"] });
  assertEquals(
    settingsText(example, values),
    `{
  "format": "gritstone-settings-1",
  "data": [
    "a.json"
  ],
  "text-length": 25,
  "resolution": "none",
  "augment": "full",
  "workers": 1,
  "mask": 0.5,
  "offset": 0,
  "lr": 0.001,
  "dropout": "none",
  "negatives": "none",
  "detach-keys": true,
  "remat": false,
  "out": "runs/x",
  "init": "none"
}
`,
  );
});

Deno.test("what settingsText() writes is read as the same values, and written as the same text", async () => {
  let state = 1;
  const next = (): number => (state = state * 48271 % 2147483647) / 2147483647;
  for (let i = 0; i < 200; i++) {
    const values = randomValues(next), text = settingsText(example, values);
    const again = readSettings(example, { file: await parseSettingsText(text, "settings.json") });
    assertEquals(again, values);
    assertEquals(settingsText(example, again), text);
  }
});

Deno.test("parseSettingsText() reads TOML and JSON, by the name or the brace", async () => {
  const toml = `# mask = 0.5
data = [
  "a = 1", # b = 2
  'c',
]
text-length = 25   # tokens
"mask" = 0.15
remat = true
out = """
say "x
x = 1
x = 2\\""""
init = '''
it's
x = 1
x = 2'''
`;
  const values = {
    data: ["a = 1", "c"],
    "text-length": 25,
    mask: 0.15,
    remat: true,
    out: 'say "x\nx = 1\nx = 2"',
    init: "it's\nx = 1\nx = 2",
  };
  assertEquals(await parseSettingsText(toml, "a.toml"), { name: "a.toml", values });
  assertEquals((await parseSettingsText("\uFEFF" + toml.replaceAll("\n", "\r\n"), "a.TOML")).values.mask, 0.15);
  assertEquals((await parseSettingsText("", "a.toml")).values, {});
  const json = JSON.stringify({ ...values, out: 'x": 1, "x": 2' });
  assertEquals(await parseSettingsText(json, "a.json"), { name: "a.json", values: JSON.parse(json) });
  assertEquals((await parseSettingsText(`\uFEFF\n ${json}`, "settings")).values, JSON.parse(json));
});

Deno.test("parseSettingsText() refuses what is no settings file in a sentence", async () => {
  const cases: [string, string, string | RegExp][] = [
    ["mask = 1", "a.yaml", "it must be TOML (.toml) or JSON (.json)"],
    ["mask: 1", "a.json", /^it is not JSON: Unexpected token/],
    ["mask: 1", "a.toml", /^it is not TOML: Parse error on line 1/],
    ["", "a.json", /^it is not JSON: /],
    ["[1]", "a.json", "it must be an object of settings: it is [1]"],
    ["null", "a.json", "it must be an object of settings: it is null"],
    [
      '{"format": "gritstone-checkpoint-1"}',
      "a.json",
      '"format" must be "gritstone-settings-1": it is "gritstone-checkpoint-1"',
    ],
    ['{"model": {"mask": 1}}', "a.json", '"model" must be a value: it is a table, and settings are not nested'],
    ["[model]\nmask = 1", "a.toml", '"model" must be a value: it is a table, and settings are not nested'],
    ["model.mask = 1", "a.toml", '"model" must be a value: it is a table, and settings are not nested'],
    ["mask = 1\nlr = 2\nmask = 1", "a.toml", '"mask" must be given once: it is given more often'],
    [`out = """\\""""\nmask = 1\n"mask" = 2`, "a.toml", '"mask" must be given once: it is given more often'],
    ['{"mask": 1, "out": "\\"", "mask" : 1}', "a.json", '"mask" must be given once: it is given more often'],
  ];
  for (const [text, name, reason] of cases) {
    const { message } = await assertRejects(() => parseSettingsText(text, name), UsageError);
    const start = `Cannot read the settings in "${name}": `;
    assertEquals(message.slice(0, start.length), start);
    const end = message.slice(start.length);
    assertEquals(typeof reason === "string" ? end === reason : reason.test(end), true, message);
  }
});

Deno.test("dates, infinities and tables in lists of a file are no values", async () => {
  for (const toml of ["mask = 1979-05-27", "mask = inf", "mask = nan", "data = [{ a = 1 }]", "mask = []"]) {
    const file = await parseSettingsText(toml, "a.toml");
    await assertRejects(async () => await Promise.resolve(readSettings(example, { file })), UsageError, '"a.toml": "');
  }
});
