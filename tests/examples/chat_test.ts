import { assertEquals, assertRejects } from "@std/assert";
import { main } from "../../examples/chat.ts";
import { completed, writeValues } from "../../examples/when_images/values.ts";
import {
  buildTextTokenizer,
  type VisionLanguageConfig,
  visionLanguageSpec,
  writeScenes,
  writeTokenizer,
} from "../../mod.ts";
import { testInFolder } from "../testing/folders.ts";
import { runExample } from "../testing/permissions.ts";

/** A model that was not trained, as a run leaves one. */
async function untrained(folder: string): Promise<void> {
  const tokenizer = buildTextTokenizer(["question: is there a red ring? answer: yes."], { size: 280 });
  const config: VisionLanguageConfig = {
    decoder: { vocabulary: 280, width: 16, layers: 1, heads: 2, hidden: 32, maxPositions: 160, qkNorm: true },
    image: { imageToken: tokenizer.imageId, encoder: { resolution: 16, patch: 8 } },
  };
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  await writeTokenizer(tokenizer, `${folder}/tokenizer.json`);
  const spec = visionLanguageSpec(config);
  await writeValues(`${folder}/step-00000001.safetensors`, spec, await completed(spec, 5, new Map()));
  await Deno.writeTextFile(`${folder}/step-00000001.json`, "{}");
}

/** What a command prints. */
async function printed(args: readonly string[], lines: string[] = []): Promise<string[]> {
  const { log } = console, said: string[] = [];
  console.log = (line: string) => void said.push(line);
  try {
    await main(args, () => lines.shift() ?? null);
  } finally {
    console.log = log;
  }
  return said;
}

testInFolder("chat.ts answers questions of its arguments or of its input, with a picture or without", async (dir) => {
  await untrained(`${dir}/models/a`);
  await writeScenes(`${dir}/scenes`, { train: 1, val: 0, test: 0, size: 16 });
  const image = ["--image", `${dir}/scenes/train/000000000000.png`], question = "Is there a red ring?";
  const [answer, same] = await printed(["--models", `${dir}/models`, ...image, question, question]) as [string, string];
  assertEquals(answer, same);
  assertEquals(await printed(["--model", `${dir}/models/a`, ...image], [question, "", question]), [answer, answer]);
  const [blind] = await printed(["--model", `${dir}/models/a`, question]);
  assertEquals(typeof blind, "string");
  const { code, out, err } = await runExample("chat", "--model", `${dir}/models/a`, ...image, question);
  assertEquals([code, out], [0, `${answer}\n`], err);
});

testInFolder("chat.ts says which model or picture is missing", async (dir) => {
  await assertRejects(() => main(["--models", `${dir}/none`, "why?"]), Error, `There is no model in "${dir}/none"`);
  await assertRejects(() => main(["--model", dir, "why?"]), Error, `There is no file "${dir}/config.json"`);
  await untrained(`${dir}/a`);
  await assertRejects(
    () => main(["--model", `${dir}/a`, "--image", "none.png", "why?"]),
    Error,
    'Cannot load "none.png": it does not exist',
  );
  await Deno.remove(`${dir}/a/step-00000001.json`);
  await assertRejects(() => main(["--model", `${dir}/a`, "why?"]), Error, "has no checkpoint");
});
