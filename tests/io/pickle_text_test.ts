import { assertEquals, assertThrows } from "@std/assert";
import { unpickle } from "../../src/io/pickle.ts";
import type { PickleValue } from "../../src/io/pickle_values.ts";
import { referencePickles, toBytes } from "../testing/reference_pickles.ts";

const refuse = () => {
  throw new Error("nothing may be called");
};
const read = (pickle: string) =>
  unpickle(toBytes(pickle), { isKnown: () => false, call: refuse, persistent: refuse }, "refs.p");

/** Dicts as objects. */
function plain(value: PickleValue): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Map ? Object.fromEntries([...value].map(([key, item]) => [key, plain(item)])) : value;
}

Deno.test("unpickle() reads what Python 2 wrote in protocols 0, 1 and 2", () => {
  for (const pickle of referencePickles) {
    assertEquals(plain(read(pickle)), [
      {
        sent_ids: [0, 1],
        file_name: "COCO_train2014_000000000009_16.jpg",
        ann_id: 1719310,
        ref_id: 16,
        image_id: 9,
        split: "testA",
        category_id: 1,
        sentences: [
          { tokens: ["navy", "shirt"], raw: 'Navy "shirt"!', sent_id: 0, sent: "navy shirt" },
          { tokens: [], raw: "it’s café\n", sent_id: 1, sent: "woman's café a\\b" },
        ],
      },
      {
        ann_id: 2,
        ref_id: 17,
        image_id: 70,
        split: "val",
        sentences: [{ sent: "dog" }],
        score: 1.5,
        done: true,
      },
    ]);
  }
});

Deno.test("unpickle() reads the lines of protocol 0 and refuses others", () => {
  const cases: [string, unknown][] = [
    ["I-7\n.", -7],
    ["L123456789012345678901L\n.", 123456789012345678901n],
    ["F1e-07\n.", 1e-7],
    ["F-inf\n.", -Infinity],
    ["S'a\\x00\\tb\\\\\\''\n.", "a\0\tb\\'"],
    ["S'caf\\xe9'\n.", "café"],
    ["V\\u005cu0041\\U0001f600\n.", "\\u0041😀"],
    ["(dp0\nS'a'\nI00\ns.", { a: false }],
    ["(S'a'\nI1\nd.", { a: 1 }],
  ];
  for (const [pickle, value] of cases) assertEquals(plain(read(pickle)), value, pickle);
  const bad = [
    "I1.5\n.",
    "Ix\n.",
    "I1",
    "Fone\n.",
    "S'a\n.",
    "S'a'b'\n.",
    "S'\\q'\n.",
    "Sa\n.",
    "V\\U99999999\n.",
    "I1\npx\n.",
    "g7\n.",
  ];
  for (const pickle of bad) {
    assertThrows(() => read(pickle), SyntaxError, 'Cannot read "refs.p": its pickle is refused', pickle);
  }
  assertThrows(() => read("cposix\nsystem\n(S'true'\ntR."), SyntaxError, 'it asks for "posix.system"');
});
