import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { buildTextTokenizer, loadTextTokenizer, type TextTokenizer } from "../../src/data/bpe.ts";
import { writeTokenizer } from "../../src/data/tokenizer.ts";
import { testInFolder } from "../testing/folders.ts";

function pieces(tokenizer: TextTokenizer): string[] {
  const { vocab } = (tokenizer.toJSON() as { model: { vocab: Record<string, number> } }).model;
  return Object.entries(vocab).sort((a, b) => a[1] - b[1]).map(([piece]) => piece);
}

const spelled = (tokenizer: TextTokenizer, text: string) =>
  tokenizer.encode(text).map((id) => pieces(tokenizer)[id]).join("|");

Deno.test("buildTextTokenizer() merges the most frequent neighbours inside of words", () => {
  // Words: "ab" once, " ab" 3 times, " a" once. "a b" stands side by side 4 times, "Ġ a" 4 times: "ab" comes before "Ġa".
  const tokenizer = buildTextTokenizer(["ab ab ab ab a"], { size: 260 });
  assertEquals(pieces(tokenizer).slice(258), ["ab", "Ġab"]);
  assertEquals(spelled(tokenizer, "ab ab aab"), "ab|Ġab|Ġ|a|ab");
  assertEquals(tokenizer.vocabularySize, 260);
  assertEquals([tokenizer.beginId, tokenizer.endId, tokenizer.imageId], [undefined, 0, 1]);
});

Deno.test("buildTextTokenizer() encodes every text without loss", () => {
  const tokenizer = buildTextTokenizer(["a small red ring is left of a big blue star.", "how many rings? 2"], {
    size: 300,
  });
  for (const text of ["a red ring", "  two  spaces\n\t", "é 猫 👩‍🚀", "it's 12", "\0\x7f", "<image> and <|endoftext|>"]) {
    assertEquals(tokenizer.decode(tokenizer.encode(text)), text);
  }
  assertEquals(tokenizer.decode([]), "");
});

Deno.test("no text has the ids of special tokens, and they have no text", () => {
  const tokenizer = buildTextTokenizer(["<image><image> <|endoftext|>"], { size: 270 });
  const ids = tokenizer.encode("<image> <|endoftext|>");
  assertEquals(ids.includes(tokenizer.endId) || ids.includes(tokenizer.imageId), false);
  assertEquals(tokenizer.decode([tokenizer.imageId, ...tokenizer.encode("x"), tokenizer.endId]), "x");
});

testInFolder("a learned tokenizer is the same after it was written and read", async (dir) => {
  const tokenizer = buildTextTokenizer(["the rings near the star are red"], { size: 280 }),
    path = `${dir}/tokenizer.json`;
  await writeTokenizer(tokenizer, path);
  const again = await loadTextTokenizer(path);
  assertEquals(again.toJSON(), tokenizer.toJSON());
  assertEquals(again.encode("the red star <image>"), tokenizer.encode("the red star <image>"));
  assertEquals(again.vocabularySize, tokenizer.vocabularySize);
});

Deno.test("buildTextTokenizer() refuses what it cannot learn from", () => {
  assertThrows(() => buildTextTokenizer(["a"], { size: 257 }), RangeError, "at least 258: it is 257");
  assertThrows(() => buildTextTokenizer([""]), RangeError, "the texts are empty");
});

/** A tokenizer.json in the manner of a family, small. */
async function load(dir: string, file: object): Promise<TextTokenizer> {
  await Deno.writeTextFile(`${dir}/t.json`, JSON.stringify(file));
  return await loadTextTokenizer(`${dir}/t.json`);
}

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
const special = (id: number, content: string) => ({ id, content, special: true, normalized: false });

testInFolder("GPT-2's manner: the end is a token of the vocabulary, images get an id of their own", async (dir) => {
  const vocab = { a: 0, b: 1, "Ġ": 2, "Ġa": 3, ab: 4, "Ġab": 5, "<|endoftext|>": 6 };
  const model = { type: "BPE", vocab, merges: ["Ġ a", "a b", "Ġa b"] };
  const gpt2 = await load(dir, {
    added_tokens: [special(6, "<|endoftext|>")],
    pre_tokenizer: byteLevel,
    decoder: byteLevel,
    model,
  });
  assertEquals(gpt2.encode("ab ab ba"), [4, 5, 2, 1, 0]); // " ba" is Ġ b a: no merge begins with "Ġ b" or "b a"
  assertEquals(gpt2.decode([4, 5, 6]), "ab ab");
  assertEquals([gpt2.beginId, gpt2.endId, gpt2.imageId, gpt2.vocabularySize], [undefined, 6, 7, 8]);
});

testInFolder("GPT-NeoX's manner: merges as pairs, and tokens of spaces that are no special ones", async (dir) => {
  const vocab = { "<|endoftext|>": 0, a: 1, "Ġ": 2, "Ġa": 3 };
  const neox = await load(dir, {
    added_tokens: [special(0, "<|endoftext|>"), { id: 4, content: "    ", special: false, normalized: true }],
    normalizer: { type: "NFC" },
    pre_tokenizer: byteLevel,
    decoder: byteLevel,
    model: { type: "BPE", vocab, merges: [["Ġ", "a"]] },
  });
  assertEquals(neox.encode("a    a a"), [1, 4, 1, 3]);
  assertEquals([neox.beginId, neox.endId, neox.imageId], [undefined, 0, 5]);
});

testInFolder(
  "Llama's manner: a mark in front of words, bytes where a character is unknown, a token that begins",
  async (dir) => {
    const vocab = {
      ...{ "<unk>": 0, "<s>": 1, "</s>": 2 },
      ...Object.fromEntries(
        Array.from({ length: 256 }, (_, b) => [`<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`, 3 + b]),
      ),
      ...{ "▁": 259, a: 260, b: 261, "▁a": 262, "▁ab": 263, "<image>": 264 },
    };
    const llama = await load(dir, {
      added_tokens: [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>"), special(264, "<image>")],
      normalizer: {
        type: "Sequence",
        normalizers: [{ type: "Prepend", prepend: "▁" }, { type: "Replace", pattern: { String: " " }, content: "▁" }],
      },
      pre_tokenizer: null,
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: "▁" }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          { type: "Strip", content: " ", start: 1, stop: 0 },
        ],
      },
      model: { type: "BPE", vocab, merges: ["▁ a", "▁a b"], unk_token: "<unk>", fuse_unk: true, byte_fallback: true },
    });
    assertEquals(llama.encode("ab ba\n"), [263, 259, 261, 260, 3 + 10]);
    assertEquals(llama.decode([1, 263, 259, 261, 260, 2]), "ab ba");
    assertEquals([llama.beginId, llama.endId, llama.imageId, llama.vocabularySize], [1, 2, 264, 265]);
  },
);

testInFolder("loadTextTokenizer() says what a file lacks", async (dir) => {
  const model = { type: "BPE", vocab: { a: 0 }, merges: [] };
  await assertRejects(() => load(dir, { model }), SyntaxError, "has no token <|endoftext|> or </s> or <|end_of_text|>");
  await assertRejects(() => load(dir, { model: { type: "Magic" } }), SyntaxError, "is not a tokenizer.json");
  await assertRejects(() => load(dir, {}), SyntaxError, 'has no "model"');
  await assertRejects(() => loadTextTokenizer(`${dir}/none.json`), SyntaxError, "there is no file");
  const path = `${dir}/t.json`;
  await Deno.writeTextFile(path, JSON.stringify({ model }));
  await assertRejects(() => loadTextTokenizer(path, { end: "a", begin: "b" }), SyntaxError, "has no token b");
  assertEquals((await loadTextTokenizer(path, { end: "a" })).endId, 0);
});
