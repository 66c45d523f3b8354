import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { modelConfig } from "../../examples/_run.ts";
import { main } from "../../examples/search.ts";
import { openIndex } from "../../examples/search/photo_index.ts";
import { writeSafetensors } from "../../src/io/safetensors.ts";
import { cleanCaption } from "../../src/data/captions.ts";
import { buildTokenizer, writeTokenizer } from "../../src/data/tokenizer.ts";
import { writeScenes } from "../../src/data/scenes/write.ts";
import { albefSpec } from "../../src/models/albef.ts";
import { initialize } from "../../src/nn/spec.ts";
import { toHost } from "../../src/program/compile.ts";
import { entries, type Tree } from "../../src/program/tree.ts";
import { UsageError } from "../../src/settings/errors.ts";
import { snapshot, testInFolder } from "../testing/folders.ts";
import { runExample } from "../testing/permissions.ts";

/** What a command printed. */
async function run(...args: string[]): Promise<{ lines: Record<string, unknown>[]; err: string }> {
  const lines: string[] = [], err: string[] = [], { log, error } = console, { writeSync } = Deno.stderr;
  console.log = (text: string) => void lines.push(text);
  console.error = (text: string) => void err.push(text);
  Deno.stderr.writeSync = (bytes) => bytes.length;
  try {
    await main(args);
  } finally {
    Object.assign(console, { log, error });
    Deno.stderr.writeSync = writeSync;
  }
  return { lines: lines.map((line) => JSON.parse(line)), err: err.join("\n") };
}

async function assertRefused(args: string[], sentence: string, usage = false): Promise<void> {
  const error = await run(...args).then(() => undefined, (error: Error) => error);
  assert(error?.message.includes(sentence), `${sentence} is not in: ${error?.message}`);
  assertEquals(error instanceof UsageError, usage);
}

/** The folder of a run: a tiny model as it starts. */
async function writeRun(dir: string, seed: number): Promise<void> {
  await Deno.mkdir(dir);
  const tokenizer = buildTokenizer(["a red circle", "a blue square"], { size: 60 });
  const values = { model: "tiny", resolution: 16, "text-length": 32 } as const;
  const config = modelConfig({ ...values, patch: undefined, textLength: 32, dropout: 0 }, tokenizer);
  const tensors = entries(initialize(albefSpec(config), seed) as Tree).map(async ([name, t]) => ({
    name,
    dtype: "F32" as const,
    shape: t.shape,
    data: await toHost(t) as Float32Array<ArrayBuffer>,
  }));
  await writeSafetensors(`${dir}/best.safetensors`, await Promise.all(tensors));
  await writeTokenizer(tokenizer, `${dir}/tokenizer.json`);
  await Deno.writeTextFile(`${dir}/settings.json`, JSON.stringify({ format: "gritstone-settings-1", ...values }));
}

testInFolder(
  "search.ts indexes a folder, brings the index up to date, finds by text and by photo, and shows a page",
  async (dir) => {
    const photos = `${dir}/photos`, index = `${dir}/photos.index`, page = `${dir}/page.html`;
    await writeScenes(`${dir}/scenes`, { train: 5, val: 0, test: 0, size: 16 });
    const files = [...Deno.readDirSync(`${dir}/scenes/train`)].map(({ name }) => `${dir}/scenes/train/${name}`);
    await Deno.mkdir(`${photos}/in & out`, { recursive: true });
    const ending = files[0]!.slice(files[0]!.lastIndexOf("."));
    const put = (n: number, path: string) => Deno.copyFile(files[n]!, `${photos}/${path}${ending}`);
    await put(0, "a"), await put(1, "b"), await put(2, "in & out/<c>");
    await Deno.writeTextFile(`${photos}/broken.jpg`, "no photo"),
      await Deno.writeTextFile(`${photos}/notes.txt`, "text");
    await writeRun(`${dir}/run`, 1), await writeRun(`${dir}/other`, 2);
    const model = ["--checkpoint", `${dir}/run`], at = ["--index", index];

    const made = await run("index", photos, ...model, ...at);
    const figures = ({ lines: [line] }: typeof made) =>
      ["photos", "added", "changed", "dropped"].map((key) => line![key]);
    assertEquals(figures(made), [3, 3, 0, 0]);
    assertMatch(JSON.stringify(made.lines[0]!.failed), /broken\.jpg.*is damaged or not an image/);
    assert(made.err.includes('left out: "broken.jpg" is damaged'), made.err);
    const first = (await openIndex(index))!;
    assertEquals(first.photos.map(({ path }) => path), [`a${ending}`, `b${ending}`, `in & out/<c>${ending}`]);
    for (let i = 0; i < 3; i++) {
      assertAlmostEquals(Math.hypot(...first.features.subarray(i * first.width, (i + 1) * first.width)), 1, 1e-5);
    }

    // The model is known by now. One photo is new, one is another, one is gone; the third keeps its feature.
    await put(3, "d"),
      await put(4, "b"),
      await Deno.remove(`${photos}/a${ending}`),
      await Deno.remove(`${photos}/broken.jpg`);
    await Deno.utime(`${photos}/b${ending}`, 1000, 1000);
    assertEquals(figures(await run("index", photos, ...at)), [3, 1, 1, 1]);
    const second = (await openIndex(index))!,
      row = (i: typeof first, n: number) => [...i.features.subarray(n * i.width, (n + 1) * i.width)];
    assertEquals(second.photos.map(({ path }) => path), [`b${ending}`, `d${ending}`, `in & out/<c>${ending}`]);
    assertEquals(row(second, 2), row(first, 2));
    assert(row(second, 0).some((x, i) => x !== row(first, 1)[i]));

    const byText =
      (await run("query", 'a <b>"red"</b> & circle', ...at, "--rerank", "2", "--page", page, "--words")).lines;
    assertEquals(byText.map(({ rank }) => rank), [1, 2, 3]);
    const [one, two, three] = byText as { cosine: number; match?: number }[];
    assert(one!.match! >= two!.match! && !("match" in three!) && three!.cosine <= Math.min(one!.cosine, two!.cosine));
    const html = await Deno.readTextFile(page);
    assert(
      html.includes("a &#60;b&#62;&#34;red&#34;&#60;/b&#62; &#38; circle") && !/<b>|<c>/.test(html),
      "text is escaped",
    );
    assert(html.includes(`href="photos/in%20%26%20out/%3Cc%3E${ending}"`), "photos are linked from where the page is");
    assertEquals([
      html.match(/<li>/g)?.length,
      html.match(/<a class="photo"[^>]*><img src="data:image\/webp;base64,[^"]+" alt="[^"]+"/g)?.length,
    ], [3, 3]);
    assertEquals(html.match(/<figure>/g)?.length, 3 * (1 + cleanCaption('a <b>"red"</b> & circle').split(" ").length));

    const maps = [...html.matchAll(/<figure><img src="([^"]+)"/g)].map(([, src]) => src);
    assert(new Set(maps).size > 2 * 3, "the words have maps of their own");

    const byPhoto = await runExample("search", "query", "--image", `${photos}/d${ending}`, ...at, "--top", "1");
    assertEquals(byPhoto.code, 0, byPhoto.err);
    const { path, cosine } = JSON.parse(byPhoto.out);
    assertEquals([path, cosine], [`d${ending}`, 1]);
    await Deno.remove(`${photos}/d${ending}`);
    const gone = await run("query", "circle", ...at);
    assertEquals(gone.lines.length, 2);
    assertMatch(gone.err, /left out: ".*d\.\w+" is gone or has changed/);

    const before = await snapshot(dir), none = `${dir}/none.index`;
    await assertRefused(
      ["index", photos, ...at, "--checkpoint", `${dir}/other`],
      "they are of another checkpoint or resolution; delete it",
    );
    await assertRefused(["query", "red", ...at, "--checkpoint", `${dir}/other`], "delete it and make it again");
    await assertRefused(["index", `${dir}/scenes`, ...at], `it is of "${first.folder}"`);
    await assertRefused(["index", none, ...model, "--index", none], "must be a folder: it is not there", true);
    await assertRefused(["index", photos, "--index", none], "--checkpoint is missing", true);
    await assertRefused(["query", "red", "--index", none], "does not exist; make it with", true);
    await assertRefused(
      ["query", "red", "--index", `${dir}/run/best.safetensors`],
      "as an index of photos: it must be a file of this program",
    );
    await assertRefused(["query", ...at], "Nothing is asked for", true);
    await assertRefused(["query", "--image", files[0]!, "--rerank", "3", ...at], "there is no text", true);
    await assertRefused(["query", "red", "--words", ...at], "give --page", true);
    await assertRefused(["query", "--image", `${dir}/run/tokenizer.json`, ...at], "it is damaged or not an image");
    await assertRefused(["query", "red", "--page", `${dir}/none/page.html`, ...at], "there is no such folder", true);
    await assertRefused(
      ["index", photos, ...model, "--index", `${dir}/none/photos.index`],
      "there is no such folder",
      true,
    );
    await assertRefused(["serve"], "must be one of index, query", true);
    assertEquals(await snapshot(dir), before, "a refusal leaves everything as it was");
  },
);
