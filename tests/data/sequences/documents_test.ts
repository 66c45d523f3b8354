import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { openDataset } from "../../../src/data/datasets.ts";
import { conversationSegments, conversationSource } from "../../../src/data/sequences/conversations.ts";
import { interleavedSource } from "../../../src/data/sequences/interleaved.ts";
import { pairSource } from "../../../src/data/sequences/pairs.ts";
import { imageFile, type Sequence, toSequence } from "../../../src/data/sequences/sequence.ts";
import { testInFolder } from "../../testing/folders.ts";
import { letters } from "./letters.ts";

const options = { tokenizer: letters, imageTokens: 3, shuffle: 1 };
const text = ({ tokens }: Sequence) => letters.decode(tokens);
const learned = ({ tokens, learned }: Sequence) => letters.decode(tokens.filter((_, i) => learned[i]));
const paths = ({ images }: Sequence) => images.map(({ path }) => path);

Deno.test("toSequence() cuts texts anywhere, and before an image that would not be whole", () => {
  const segments = [{ text: "abc" }, { image: imageFile("x.png") }, { text: "de" }, "end"] as const;
  const cut = (maxLength: number) => toSequence(segments, { ...options, maxLength });
  assertEquals([2, 5, 6, 7, 8, 9, 20].map((length) => text(cut(length))), [
    ...["ab", "abc", "abc###", "abc###d", "abc###de", "abc###de$", "abc###de$"],
  ]);
  assertEquals([5, 6].map((length) => cut(length).images.length), [0, 1]);
  const begins = { ...letters, beginId: 94 }; // "^"
  assertEquals(toSequence([{ text: "a" }], { ...options, tokenizer: begins }), {
    tokens: [94, 97],
    learned: [0, 1],
    images: [],
  });
});

testInFolder("pairSource() puts an image before its caption, or before that of another image", async (dir) => {
  const rows = Array.from({ length: 5 }, (_, i) => ({ image: `${i}.png`, caption: `c${i}` }));
  await Deno.writeTextFile(`${dir}/a.json`, JSON.stringify(rows));
  const dataset = await openDataset({ data: [`${dir}/a.json`], images: dir });
  const own = pairSource(dataset, { ...options, seed: 1 }),
    other = pairSource(dataset, { ...options, seed: 1, captions: "shuffled" });
  const seen = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const pair = await own.next(), number = paths(pair)[0]!.match(/(\d).png$/)![1];
    assertEquals([text(pair), learned(pair)], [`### c${number}$`, ` c${number}$`]);
    const wrong = await other.next();
    assertEquals(paths(wrong), paths(pair), "the same images in the same order");
    assertNotEquals(text(wrong), text(pair));
    if (number === "2") seen.add(text(wrong));
  }
  assertEquals(seen.size > 1, true, "drawn anew each time");
  await Deno.writeTextFile(`${dir}/b.json`, JSON.stringify(rows.slice(0, 1)));
  const single = await openDataset({ data: [`${dir}/b.json`] });
  assertThrows(
    () => pairSource(single, { ...options, captions: "shuffled" }),
    RangeError,
    "at least 2 pairs: it has 1",
  );
});

testInFolder("interleavedSource() reads both forms, in order", async (dir) => {
  const obelics = { texts: ["ab", null, "c", "d", null], images: [null, "1.png", null, null, "2.png"] };
  const mmc4 = {
    text_list: ["ab", "c"],
    image_info: [{ image_name: "2.png", matched_text_index: 1 }, { image_name: "1.png", matched_text_index: 0 }],
  };
  await Deno.writeTextFile(`${dir}/a.jsonl`, `${JSON.stringify(obelics)}\n${JSON.stringify(mmc4)}\n`);
  const files = { data: [`${dir}/a.jsonl`], images: dir }, source = interleavedSource(files, { ...options, images: 2 });
  const [first, second] = [await source.next(), await source.next()];
  assertEquals([text(first), learned(first), paths(first)], ["ab###c\nd###$", "abc\nd$", [
    `${dir}/1.png`,
    `${dir}/2.png`,
  ]]);
  assertEquals([text(second), paths(second)], ["###ab###c$", [`${dir}/1.png`, `${dir}/2.png`]]);
  const one = interleavedSource(files, { ...options, images: 1 });
  assertEquals([text(await one.next()), text(await one.next())], ["ab###c\nd$", "###ab$"]);
});

testInFolder("interleavedSource() names what is wrong", async (dir) => {
  const refuse = async (row: unknown, message: string) => {
    await Deno.writeTextFile(`${dir}/a.jsonl`, `${JSON.stringify(row)}\n`);
    const source = interleavedSource({ data: [`${dir}/a.jsonl`] }, { ...options, images: 1 });
    await assertRejects(() => source.next(), SyntaxError, `Cannot read "${dir}/a.jsonl": line 1 ${message}`);
  };
  await refuse({}, 'has nothing as "texts"; a list is expected');
  await refuse({ texts: ["a"], images: [] }, 'has [] as "images"; a list of 1');
  await refuse({ texts: ["a"], images: ["b.png"] }, 'has "a" and "b.png" as "texts" and "images" 0; a string and null');
  await refuse({ text_list: [5] }, 'has [5] as "text_list"; a list of strings is expected');
  await refuse({ text_list: ["a"], image_info: [{ image_name: "x" }] }, 'has {"image_name":"x"} as "image_info" 0');
  await refuse({ text_list: ["a"], image_info: [{ image_name: "x", matched_text_index: 1 }] }, "has {");
});

testInFolder("conversationSource() reads LLaVA's JSON; only the model's words are learned", async (dir) => {
  const rows = [{
    id: "1",
    image: "1.png",
    conversations: [
      { from: "human", value: "<image>\nhow many?" },
      { from: "gpt", value: "2" },
      { from: "human", value: "sure?" },
      { from: "gpt", value: "yes <image>" },
    ],
  }, { id: "2", conversations: [{ from: "human", value: "hi" }, { from: "gpt", value: "ho" }] }];
  await Deno.writeTextFile(`${dir}/a.json`, JSON.stringify(rows));
  const source = conversationSource({ data: [`${dir}/a.json`], images: dir }, { ...options, images: 1 });
  const [first, second] = [await source.next(), await source.next()];
  assertEquals(
    text(first),
    "Question: ###\nhow many?\nAnswer: 2$\nQuestion: sure?\nAnswer: yes <image>$",
  );
  assertEquals([learned(first), paths(first)], [" 2$ yes <image>$", [`${dir}/1.png`]]);
  assertEquals([text(second), learned(second), paths(second)], ["Question: hi\nAnswer: ho$", " ho$", []]);
  const asked = conversationSegments(
    { images: ["x.png"], turns: [{ from: "human", value: "<image> q" }] },
    { before: "", after: " a:" },
  );
  assertEquals(text(toSequence(asked, options)), "### q a:");
});

testInFolder("conversationSource() names what is wrong", async (dir) => {
  const refuse = async (row: unknown, message: string) => {
    await Deno.writeTextFile(`${dir}/a.json`, JSON.stringify([row]));
    const source = conversationSource({ data: [`${dir}/a.json`] }, options);
    await assertRejects(() => source.next(), SyntaxError, `Cannot read "${dir}/a.json": entry 0 ${message}`);
  };
  const turn = { from: "human", value: "<image>" };
  await refuse({ conversations: [] }, 'has [] as "conversations"; a list of turns is expected');
  await refuse({ image: 5, conversations: [turn] }, 'has 5 as "image"; a path, a list of paths or nothing is expected');
  await refuse({ conversations: [turn] }, 'has 1 times "<image>" in its "conversations"; its 0 images are expected');
  await refuse({ conversations: [{ from: "cat", value: "" }] }, 'has {"from":"cat","value":""} as turn 0');
});
