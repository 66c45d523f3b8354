import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Mixer, type MixPart } from "../../../src/data/sequences/mixer.ts";
import { Packer, rowPerSequence } from "../../../src/data/sequences/packer.ts";
import { document, source, spell } from "./letters.ts";

function packer(parts: readonly MixPart[], batch: number, length: number, images: number): Packer {
  return new Packer(new Mixer(parts), { batch, length, images, padId: 36 });
}

const alone = (texts: readonly string[], images = 0): MixPart[] => [{ source: source(texts, { images }), share: 1 }];

Deno.test("texts stand one behind the other and are cut at a row's end; nothing is predicted across documents", async () => {
  const rows = await packer(alone(["abc", "de"]), 2, 6, 0).next();
  assertEquals(spell(rows, 6), [
    "abc$de 000011 012301 111010",
    "$abc$d 011112 001230 011100",
  ]);
});

Deno.test("an image's placeholders are not predicted, and what follows the last one is", async () => {
  const rows = await packer(alone(["#ab"], 1), 1, 5, 1).next();
  assertEquals(spell(rows, 5), ["##ab$ 00000 01234 01110"]);
  assertEquals(rows.images.map(({ path }) => path), ["#ab.png"]);
});

Deno.test("a document with images waits for a row with room, texts fill this one; without texts the rest is padding", async () => {
  const mixed = [{ source: source(["#ab"], { images: 1 }), share: 0.5 }, { source: source(["xyz"]), share: 0.5 }];
  const rows = await packer(mixed, 3, 8, 2).next();
  assertEquals(spell(rows, 8).map((row) => row.split(" ")[0]), ["##ab$xyz", "$xyz$xyz", "##ab$$xy"]);
  const padded = await packer(alone(["#ab"], 1), 2, 8, 2).next();
  assertEquals(spell(padded, 8), ["##ab$... 00000... 01234000 01110000", "##ab$... 00000... 01234000 01110000"]);
});

Deno.test("rows of a mini-batch never have more images than it may have; the next one begins with what waits", async () => {
  const mixed = [{ source: source(["#a"], { images: 1 }), share: 0.9 }, { source: source(["x"]), share: 0.1 }];
  const own = packer(mixed, 1, 12, 2), first = await own.next(), second = await own.next();
  assertEquals(first.images.length, 2);
  assertEquals(spell(first, 12)[0]!.split(" ")[0], "##a$x$##a$x$");
  assertEquals(second.images.length, 2);
});

Deno.test("a document with images that fits nowhere is refused", async () => {
  await assertRejects(
    () => packer(alone(["#abcdef"], 1), 1, 8, 1).next(),
    RangeError,
    "at most 8 tokens: it has 9",
  );
  assertThrows(() => packer(alone(["##"], 2), 1, 8, 1), RangeError, "room for as many: it has room for 1");
});

Deno.test("Mixer keeps the shares of tokens at any time, whatever the lengths are", async () => {
  const long = source(["a".repeat(90), "b".repeat(400)], { images: 1 }), short = source(["c", "def"], { images: 1 });
  for (const share of [0.01, 0.1, 0.5, 0.8]) {
    const mixer = new Mixer([{ source: long, share: share * 3 }, { source: short, share: (1 - share) * 3 }]);
    for (let i = 0, total = 0; i < 3000; i++) {
      total += (await mixer.next({ tokens: 512, images: 1 }))!.tokens.length;
      const counts = Object.values(mixer.tokens);
      assertEquals(counts[0]! + counts[1]!, total);
      assert(Math.abs(counts[0]! - share * total) <= 401, `${share}: ${counts}`);
    }
  }
});

Deno.test("Mixer cuts a text into pieces that mix with other sources", async () => {
  const mixer = new Mixer([{ source: source(["abcdefgh"]), share: 0.5 }, {
    source: source(["#x"], { images: 1 }),
    share: 0.5,
  }]);
  const pieces: string[] = [];
  for (let i = 0; i < 5; i++) pieces.push(String.fromCharCode(...(await mixer.next({ tokens: 4, images: 1 }))!.tokens));
  assertEquals(pieces, ["abcd", "##x$", "efgh", "##x$", "$"]);
});

Deno.test("Mixer leaves sources without a share alone, and refuses shares that are none", async () => {
  const never = source([]), mixer = new Mixer([{ source: never, share: 0 }, { source: source(["a"]), share: 2 }]);
  assertEquals((await mixer.next({ tokens: 9, images: 0 }))!.tokens.length, 2);
  assertEquals(Object.keys(mixer.tokens), ["source of a"]);
  assertThrows(() => new Mixer([{ source: never, share: 0 }]), RangeError, "none is");
  assertThrows(() => new Mixer([{ source: never, share: -1 }]), RangeError, "that of source of undefined is -1");
  assertThrows(() => new Mixer([]), RangeError, "none is");
});

Deno.test("rowPerSequence() gives each document a row", () => {
  const rows = rowPerSequence([document("#a"), document("bcd")], { batch: 3, length: 5, padId: 36 });
  assertEquals(spell(rows, 5), [
    "##a$. 0000. 01230 01100",
    "bcd$. 0000. 01230 11100",
    "..... ..... 00000 00000",
  ]);
  assertThrows(
    () => rowPerSequence([document("abc")], { batch: 1, length: 3, padId: 0 }),
    RangeError,
    "at most 1 of at most 3",
  );
});

for (const at of [0, 1, 7]) {
  Deno.test(`a packer that goes on after ${at} mini-batches, through JSON, gives the same rows`, async () => {
    const parts = () => [
      { source: source(["#ab", "#abcd", "##"], { images: 2, seed: 3, shuffle: 2 }), share: 0.4 },
      { source: source(["efg", "h".repeat(40), "ijklmnop"], { seed: 4, shuffle: 2 }), share: 0.6 },
    ];
    const whole = packer(parts(), 2, 11, 3);
    for (let i = 0; i < at; i++) await whole.next();
    const resumed = packer(parts(), 2, 11, 3);
    resumed.restore(JSON.parse(JSON.stringify(whole.save())));
    for (let i = 0; i < 12; i++) assertEquals(await resumed.next(), await whole.next());
    assertEquals(resumed.save(), whole.save());
  });
}

Deno.test("a mixture does not go on with another number of sources", () => {
  const one = packer(alone(["a"]), 1, 4, 0), two = packer([...alone(["a"]), ...alone(["b"])], 1, 4, 0);
  assertThrows(() => two.restore(one.save()), RangeError, "it must have 1 sources as before: it has 2");
});
