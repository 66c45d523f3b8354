import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { ShuffledSource } from "../../../src/data/sequences/source.ts";
import { textSource } from "../../../src/data/sequences/texts.ts";
import { testInFolder } from "../../testing/folders.ts";
import { letters } from "./letters.ts";

/** A source of the numbers below `count`, as sequences of one token. */
function numbers(count: number, shuffle: number, seed = 1, size = 3): ShuffledSource<number> {
  const read = function* () {
    for (let at = 0; at < count; at += size) yield Array.from({ length: Math.min(size, count - at) }, (_, i) => at + i);
  };
  const encode = (n: number) => ({ tokens: [n], learned: [1], images: [] });
  return new ShuffledSource("numbers", read, encode, { shuffle, seed });
}

async function take(source: ShuffledSource<number>, count: number): Promise<number[]> {
  const taken: number[] = [];
  for (let i = 0; i < count; i++) taken.push((await source.next()).tokens[0]!);
  return taken;
}

Deno.test("every epoch has every document once, shuffled within blocks and otherwise each time", async () => {
  for (const [count, shuffle] of [[10, 4], [8, 4], [10, 100], [1, 4], [7, 1], [5, Infinity]] as const) {
    const source = numbers(count, shuffle), epochs = [await take(source, count), await take(source, count)];
    for (const epoch of epochs) {
      assertEquals([...epoch].sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i));
      epoch.forEach((n, i) => assertEquals(Math.floor(n / shuffle), Math.floor(i / shuffle), "its block"));
    }
    if (count > 2 && shuffle > 2) assertNotEquals(epochs[0], epochs[1]);
  }
  assertNotEquals(await take(numbers(10, 10, 1), 10), await take(numbers(10, 10, 2), 10));
});

Deno.test("a source goes on at any place, to the end of an epoch and beyond", async () => {
  for (const [count, shuffle] of [[10, 4], [8, 4], [5, Infinity]] as const) {
    const whole = await take(numbers(count, shuffle), 30);
    for (let at = 0; at <= 2 * count; at++) {
      const first = numbers(count, shuffle), second = numbers(count, shuffle);
      await take(first, at);
      second.restore(JSON.parse(JSON.stringify(first.save())));
      assertEquals(await take(second, 30 - at), whole.slice(at), `${at} of ${count} by ${shuffle}`);
    }
  }
});

Deno.test("a source without documents, or with blocks of nothing, is refused", async () => {
  await assertRejects(() => numbers(0, 4).next(), SyntaxError, "Cannot read numbers: it has no documents");
  assertThrows(() => numbers(3, 0), RangeError, '"shuffle" must be a number of at least 1: it is 0');
});

testInFolder("textSource() reads files again and again, and goes on in them", async (dir) => {
  await Deno.writeTextFile(`${dir}/a.txt`, Array.from({ length: 9 }, (_, i) => `text ${i}`).join("\n"));
  const open = () =>
    textSource({ data: [`${dir}/a.txt`], documents: "line" }, { tokenizer: letters, seed: 5, shuffle: 4 });
  const one = open(), texts: string[] = [];
  for (let i = 0; i < 12; i++) texts.push(letters.decode((await one.next()).tokens));
  assertEquals(new Set(texts.slice(0, 9)).size, 9);
  const two = open();
  two.restore({ epoch: 0, taken: 7 });
  for (const text of texts.slice(7)) assertEquals(letters.decode((await two.next()).tokens), text);
  const listed = textSource(["a", "b"], { tokenizer: letters });
  assertEquals([listed.name, listed.images, (await listed.next()).learned], ["texts", 0, [1, 1]]);
});
