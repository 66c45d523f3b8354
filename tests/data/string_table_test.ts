import { assertEquals } from "@std/assert";
import { ByteList, NumberList, StringList, StringTable } from "../../src/data/string_table.ts";

const texts = ["", "a", "Kätzchen", "猫と犬", "👩‍🚀 in space", "\uFEFFmark", "a\u0000b", "x".repeat(5000)];

Deno.test("StringList gives every string back, whatever its characters and length", () => {
  const list = new StringList();
  for (let round = 0; round < 300; round++) texts.forEach((text) => list.push(text));
  assertEquals(list.length, 300 * texts.length);
  for (let i = 0; i < list.length; i++) assertEquals(list.at(i), texts[i % texts.length]);
});

Deno.test("StringList.pop() takes the last string away", () => {
  const list = new StringList();
  list.push("first");
  list.pop();
  list.push("second");
  list.push("third");
  list.pop();
  list.push("4th");
  assertEquals([list.length, list.at(0), list.at(1)], [2, "second", "4th"]);
});

Deno.test("StringList holds half a surrogate pair as U+FFFD", () => {
  const list = new StringList();
  list.push("a\ud83d");
  assertEquals(list.at(0), "a\ufffd");
});

Deno.test("StringTable numbers strings as a Map does", () => {
  const table = new StringTable(), map = new Map<string, number>();
  for (let i = 0; i < 20_000; i++) {
    const text = `dir_${i % 7}/${(i * 7919) % 9000}.jpg`;
    if (!map.has(text)) map.set(text, map.size);
    assertEquals(table.add(text), map.get(text));
  }
  assertEquals(table.length, map.size);
  for (const [text, number] of map) assertEquals(table.at(number), text);
});

Deno.test("StringTable keeps strings apart that differ in one byte, in length or by a zero", () => {
  const table = new StringTable();
  const distinct = ["ab", "ba", "a", "a\0", "", "\0", "é", "e\u0301"];
  assertEquals(distinct.map((text) => table.add(text)), [0, 1, 2, 3, 4, 5, 6, 7]);
  assertEquals(distinct.map((text) => table.add(text)), [0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("NumberList and ByteList keep their contents when they grow", () => {
  const counts = new NumberList(Uint32Array), places = new NumberList(Float64Array), bytes = new ByteList();
  for (let i = 0; i < 5000; i++) {
    counts.push(i);
    places.push(2 ** 40 + i);
    bytes.append(Uint8Array.of(i, i + 1));
  }
  for (let i = 0; i < 5000; i++) assertEquals([counts.at(i), places.at(i)], [i, 2 ** 40 + i]);
  assertEquals(bytes.slice(9998), Uint8Array.of(4999, 5000));
});
