import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { buildTokenizer, loadTokenizer, type Tokenizer, writeTokenizer } from "../../src/data/tokenizer.ts";
import { withFolder } from "../testing/folders.ts";

const captions = [
  "A small red ring to the left of a big blue cube.",
  "a tiny red ring, left of the blue cube",
  "Two red rings; the cube is 12 cm wide",
  "un café bleu",
];

function pieces(tokenizer: Tokenizer): string[] {
  const { vocab } = (tokenizer.toJSON() as { model: { vocab: Record<string, number> } }).model;
  return Object.entries(vocab).sort((a, b) => a[1] - b[1]).map(([piece]) => piece);
}

function decode(tokenizer: Tokenizer, ids: Iterable<number>): string[] {
  const all = pieces(tokenizer);
  return [...ids].map((id) => all[id]!);
}

Deno.test("buildTokenizer() gives special tokens the ids 0 to 4 and every word an id where all fit", () => {
  const tokenizer = buildTokenizer(captions);
  const { padId, unknownId, clsId, sepId, maskId } = tokenizer;
  assertEquals([padId, unknownId, clsId, sepId, maskId], [0, 1, 2, 3, 4]);
  assertEquals(decode(tokenizer, tokenizer.encode("a red cube", 25)), ["[CLS]", "a", "red", "cube"]);
  assertEquals(decode(tokenizer, tokenizer.encode("cafe", 25)), ["[CLS]", "cafe"], "accents are stripped as BERT does");
  assertEquals(tokenizer.vocabularySize, pieces(tokenizer).length);
  assertEquals(pieces(tokenizer).filter((p) => p === "red").length, 1);
});

Deno.test("buildTokenizer() spells unknown words by pieces, and knows no unknown characters", () => {
  const tokenizer = buildTokenizer(captions);
  assertEquals(decode(tokenizer, tokenizer.encode("redcube bag q", 25)), [
    "[CLS]",
    "red",
    "##c",
    "##u",
    "##b",
    "##e",
    "b",
    "##a",
    "##g",
    "[UNK]",
  ]);
});

Deno.test("buildTokenizer() merges the most frequent neighbours where words do not fit", () => {
  // ##b ##a stand side by side 4 times, all other pairs 3 times at most; then ##ba ##b and a ##ba twice each.
  const tokenizer = buildTokenizer(["abab abab abba baba"], { size: 11 });
  assertEquals(pieces(tokenizer), [
    ...["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    ...["a", "b", "##a", "##b", "##ba", "##bab"],
  ]);
  assertEquals(decode(tokenizer, tokenizer.encode("abab abba", 9)), ["[CLS]", "a", "##bab", "a", "##b", "##ba"]);
});

Deno.test("buildTokenizer() keeps within its size and leaves rare characters out", () => {
  for (const size of [7, 9, 12, 30, 45, 60, 90]) {
    const tokenizer = buildTokenizer(captions, { size });
    assert(tokenizer.vocabularySize <= size);
    assertEquals(new Set(pieces(tokenizer)).size, tokenizer.vocabularySize);
    for (const caption of captions) for (const id of tokenizer.encode(caption, 40)) assert(id < size);
  }
  assertEquals(pieces(buildTokenizer(["eee eex"], { size: 8 })).slice(5), ["e", "##e", "##ee"]);
});

Deno.test("buildTokenizer() gives the same vocabulary for captions in any order", () => {
  for (const size of [50, 8192]) {
    assertEquals(pieces(buildTokenizer(captions, { size })), pieces(buildTokenizer(captions.toReversed(), { size })));
  }
});

Deno.test("encode() cuts to maxLength and appends [SEP] only on request", () => {
  const official = buildTokenizer(captions), bert = buildTokenizer(captions, { sep: true });
  assertEquals(decode(official, official.encode("a red ring to the left", 4)), ["[CLS]", "a", "red", "ring"]);
  assertEquals(decode(bert, bert.encode("a red ring to the left", 4)), ["[CLS]", "a", "red", "[SEP]"]);
  assertEquals(decode(bert, bert.encode("a", 4)), ["[CLS]", "a", "[SEP]"]);
  assertThrows(() => official.encode("a", 0), RangeError, '"maxLength" must be a whole number of at least 1: it is 0');
  assertThrows(() => bert.encode("a", 1), RangeError, "at least 2");
});

Deno.test("decode() gives the text of ids, without special tokens", () => {
  const tokenizer = buildTokenizer(["abab abba"], { size: 9, sep: true });
  for (const text of ["abab abba", "a abba"]) {
    assertEquals(tokenizer.decode([...tokenizer.encode(text, 20), tokenizer.padId, tokenizer.maskId]), text);
  }
  assertEquals(tokenizer.decode([]), "");
});

Deno.test("encodeBatch() pads with padId and masks the padding", () => {
  const tokenizer = buildTokenizer(captions);
  const { ids, mask } = tokenizer.encodeBatch(["a red ring", "cube"], 5);
  assertEquals(decode(tokenizer, ids), [
    ...["[CLS]", "a", "red", "ring", "[PAD]"],
    ...["[CLS]", "cube", "[PAD]", "[PAD]", "[PAD]"],
  ]);
  assertEquals([...mask], [1, 1, 1, 1, 0, 1, 1, 0, 0, 0]);
});

Deno.test("writeTokenizer() writes a tokenizer.json that loadTokenizer() reads back identically", () =>
  withFolder(async (folder) => {
    for (const size of [40, 8192]) {
      const tokenizer = buildTokenizer(captions, { size });
      await writeTokenizer(tokenizer, `${folder}/tokenizer.json`);
      const read = await loadTokenizer(`${folder}/tokenizer.json`);
      assertEquals(read.toJSON(), tokenizer.toJSON());
      assertEquals(read.vocabularySize, tokenizer.vocabularySize);
      for (const text of [...captions, "12 q [MASK]", ""]) {
        assertEquals(read.encode(text, 30), tokenizer.encode(text, 30));
      }
    }
  }));

Deno.test("loadTokenizer() reads a BERT vocab.txt with ids as line numbers", () =>
  withFolder(async (folder) => {
    const vocabulary = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "##s", "dog", "'"];
    for (const [mark, end] of [["", "\n"], ["", "\r\n"], ["\uFEFF", "\n"]] as const) {
      await Deno.writeTextFile(`${folder}/vocab.txt`, mark + vocabulary.join(end) + end);
      const tokenizer = await loadTokenizer(`${folder}/vocab.txt`);
      assertEquals(tokenizer.vocabularySize, 11);
      assertEquals(tokenizer.encode("Dogs PLAYING's cat", 9), [3, 9, 8, 6, 7, 10, 2, 2]);
      assertEquals((await loadTokenizer(`${folder}/vocab.txt`, { sep: true })).encode("dog", 9), [3, 9, 4]);
    }
  }));

Deno.test("loadTokenizer() takes a byte order mark for none of a tokenizer.json", () =>
  withFolder(async (folder) => {
    const tokenizer = buildTokenizer(captions);
    await Deno.writeTextFile(`${folder}/tokenizer.json`, `\uFEFF${JSON.stringify(tokenizer)}`);
    assertEquals((await loadTokenizer(`${folder}/tokenizer.json`)).toJSON(), tokenizer.toJSON());
  }));

/** BERT's own rules (its BasicTokenizer): the words of a text. */
function basicWords(text: string): string[] {
  const ideographs =
    /[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B820}-\u{2CEAF}\u{F900}-\u{FAFF}\u{2F800}-\u{2FA1F}]/gu;
  const cleaned = text.replace(/[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}]/gu, "").replace(ideographs, " $& ");
  const plain = cleaned.toLowerCase().normalize("NFD").replace(/\p{Mn}/gu, "");
  return plain.split(/\s+/).flatMap((word) => word.split(/([!-/:-@[-`{-~]|\p{P})/u)).filter(Boolean);
}

Deno.test("Words are split by BERT's rules, whatever plane a character is of", () => {
  // Every 7th character of all planes that have any, each between letters; private ones aside.
  const planes = [[1, 0xd7ff], [0xf900, 0x1ffff], [0x20000, 0x3134f], [0xe0001, 0xe01ef]] as const;
  const characters = planes.flatMap(([from, to]) =>
    Array.from({ length: Math.ceil((to - from) / 7) }, (_, i) => String.fromCodePoint(from + 7 * i))
  );
  const texts = characters.map((character) => `a${character}b`);
  const words = new Set(texts.flatMap(basicWords)),
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...words];
  return withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/vocab.txt`, vocabulary.join("\n"));
    const tokenizer = await loadTokenizer(`${folder}/vocab.txt`);
    const ids = new Map(vocabulary.map((word, id) => [word, id]));
    for (const text of texts) {
      assertEquals(tokenizer.encode(text, 9).slice(1), basicWords(text).map((word) => ids.get(word)!), text);
    }
    assertEquals(tokenizer.encode("\u{20000}\u{20007}", 9).length, 3);
    assertEquals(buildTokenizer(["\u{20000}\u{20001}a"]).encode("\u{20001}\u{20000}", 9).length, 3);
  });
});

Deno.test("encode() takes texts of 100,000 words, a word of a million letters, and characters of zero", () => {
  const tokenizer = buildTokenizer(captions);
  assertEquals(tokenizer.encode("red ".repeat(100_000), 25).length, 25);
  assertEquals(tokenizer.encode("r".repeat(1_000_000), 25), [tokenizer.clsId, tokenizer.unknownId]);
  assertEquals(tokenizer.encode("r\0ed", 25), tokenizer.encode("red", 25));
  assertEquals(buildTokenizer(["red ".repeat(100_000)]).encode("red", 25).length, 2);
});

Deno.test("loadTokenizer() refuses broken files with a sentence", () =>
  withFolder(async (folder) => {
    const refused = async (name: string, text: string, message: string): Promise<void> => {
      await Deno.writeTextFile(`${folder}/${name}`, text);
      const error = await assertRejects(() => loadTokenizer(`${folder}/${name}`), SyntaxError, message);
      assert(error.message.includes(`"${folder}/${name}"`));
    };
    await refused("a.json", "{", "is not JSON");
    await refused("b.json", "[1]", 'has no "model"');
    await refused("c.json", '{"model": {"type": "WordPiece"}}', "is not a tokenizer.json");
    await refused("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\ndog\n", "has no token [MASK]");
    await refused("empty.txt", "", "has no token [PAD]");
    await assertRejects(
      () => loadTokenizer(`${folder}/none.json`),
      SyntaxError,
      `there is no file "${folder}/none.json"`,
    );
  }));

Deno.test("buildTokenizer() refuses captions without words and a size without room", () => {
  assertThrows(() => buildTokenizer(["?!", " "]), RangeError, "the captions have no words");
  assertThrows(
    () => buildTokenizer(captions, { size: 6 }),
    RangeError,
    "must be a whole number of at least 7: it is 6",
  );
});
