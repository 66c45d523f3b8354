import { assertEquals, assertRejects } from "@std/assert";
import { gzipSync } from "node:zlib";
import { openDataset } from "../../src/data/datasets.ts";
import { readChunks } from "../../src/data/text_stream.ts";
import { readTexts, type TextFiles } from "../../src/data/texts.ts";
import { testInFolder } from "../testing/folders.ts";

async function texts(options: TextFiles): Promise<string[]> {
  return (await Array.fromAsync(readTexts(options))).flat();
}

const encode = (text: string) => new TextEncoder().encode(text);

testInFolder("readTexts() gives the documents of each kind of file, in order", async (dir) => {
  const write = async (name: string, text: string) => {
    const bytes = encode(text);
    await Deno.writeFile(`${dir}/${name}`, name.endsWith(".gz") ? gzipSync(bytes) : bytes);
    return `${dir}/${name}`;
  };
  const plain = await write("a.txt", "\ufeffone\ntwo\r\n\r\n \nthree\n");
  const packed = await write("b.txt.gz", "four\n\nfive");
  const lines = await write("c.jsonl.gz", '{"text":"six\\n6"}\n{"text":""}\n{"text":"seven","n":1}\n');
  const list = await write("d.json", '[{"text":"eight"},{"text":" "}]');
  const data = [plain, packed, lines, list];
  assertEquals(await texts({ data }), ["one\ntwo", "three", "four", "five", "six\n6", "seven", "eight"]);
  assertEquals(await texts({ data: [plain], documents: "line" }), ["one", "two", "three"]);
  assertEquals(await texts({ data: [await write("e.jsonl", '{"content":"x"}\n')], field: "content" }), ["x"]);
});

testInFolder("readTexts() names file, line, field and what is expected", async (dir) => {
  const refuse = async (
    name: string,
    content: string | Uint8Array,
    message: string,
  ) => {
    await Deno.writeFile(`${dir}/${name}`, typeof content === "string" ? encode(content) : content);
    await assertRejects(
      () => texts({ data: [`${dir}/${name}`] }),
      SyntaxError,
      `Cannot read "${dir}/${name}": ${message}`,
    );
  };
  await refuse("a.jsonl", '{"text":"x"}\n{"text":5}\n', 'line 2 has 5 as "text"; a string is expected');
  await refuse("b.jsonl", '{"text":"x"}\n\n{"text"\n', "line 2 cannot be read: it is not JSON");
  await refuse("c.jsonl", '{"body":"x"}\n', 'line 1 has nothing as "text"');
  await refuse("d.txt", "", "it has no entries, at least one is needed");
  await refuse("e.txt", `${"line ".repeat(20_000)}\n`.repeat(170), "a document is longer than 16 MiB");
  await refuse(
    "f.jsonl.gz",
    gzipSync(encode('{"text":"one"}\n'.repeat(1000))).subarray(0, -9),
    "its gzip data is damaged",
  );
  await refuse(
    "g.jsonl.zst",
    Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0),
    "it is packed by zstd; unpack it, or pack it by gzip",
  );
  await assertRejects(() => texts({ data: [`${dir}/none.txt.gz`] }), Deno.errors.NotFound, "there is no such file");
  await assertRejects(() => texts({ data: [`${dir}`] }), TypeError, "it must be a file, not a folder or a pipe");
});

testInFolder("readTexts() skips lines that cannot be read where it may", async (dir) => {
  await Deno.writeTextFile(`${dir}/a.jsonl`, '{"text":"x"}\n{]\n{"text":"y"}');
  assertEquals(await texts({ data: [`${dir}/a.jsonl`], onError: "skip" }), ["x", "y"]);
});

testInFolder("a packed file is read in small pieces, however far it was packed, and part after part", async (dir) => {
  const part = gzipSync(new Uint8Array(40 << 20).fill(0x61)); // 40 MiB of one letter are 40 KB
  await Deno.writeFile(`${dir}/a.gz`, new Uint8Array([...part, ...gzipSync(encode("end"))]));
  let bytes = 0, largest = 0, last = 0;
  for await (const chunk of readChunks(`${dir}/a.gz`)) {
    bytes += chunk.length;
    largest = Math.max(largest, chunk.length);
    last = chunk.at(-1)!;
  }
  assertEquals([bytes, last, largest <= 1 << 20], [(40 << 20) + 3, 0x64, true]);
});

testInFolder("leaving a packed file early closes it", async (dir) => {
  await Deno.writeFile(`${dir}/a.txt.gz`, gzipSync(encode("one\n\ntwo\n\n".repeat(400_000))));
  for await (const some of readTexts({ data: [`${dir}/a.txt.gz`] })) {
    assertEquals(some[0], "one");
    break;
  }
});

testInFolder("data sets are read from packed files too", async (dir) => {
  await Deno.writeFile(`${dir}/a.json.gz`, gzipSync(encode('[{"image":"a.png","caption":"a ring"}]')));
  assertEquals((await openDataset({ data: [`${dir}/a.json.gz`] })).entry(0).captions, ["a ring"]);
});
