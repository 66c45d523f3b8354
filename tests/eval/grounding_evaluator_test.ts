import { assert, assertEquals } from "@std/assert";
import { openExpressions } from "../../src/data/expressions.ts";
import { judgeMap } from "../../src/eval/grounding.ts";
import { GroundingEvaluator, type TextMaps } from "../../src/eval/grounding_evaluator.ts";
import { groundingSet } from "../../src/eval/grounding_set.ts";
import { albefSpec } from "../../src/models/albef.ts";
import { initialize } from "../../src/nn/spec.ts";
import { tensor } from "../../src/program/compile.ts";
import { folder, greyImages } from "../data/loading.ts";
import { config as own, tokenizer } from "../recipes/squares.ts";
import { assertClose } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";

const config = { ...own, text: { ...own.text, init: 0.4 } };
const params = initialize(albefSpec(config), 3), options = { resolution: 8, maxLength: 6 };

const rows = ["The left square.", "dark", "it is a square", "what colour", "a left square"].map((text, i) => ({
  image: greyImages[i % 3],
  text,
  box: [0, 0, 4, 4],
  split: i === 4 ? "test" : "val",
}));

async function datasetOf(rows: readonly unknown[]) {
  const path = `${folder}/expressions-${rows.length}.json`;
  await Deno.writeTextFile(path, JSON.stringify(rows));
  return await openExpressions({ data: [path] });
}

Deno.test("groundingSet() has the sizes, boxes and detections of the images, each image once", async () => {
  const detections = new Map([["1", [[1, 1, 2, 2]] as const]]);
  const set = await groundingSet(await datasetOf(rows), tokenizer, { ...options, detections });
  assertEquals([set.images.count, [...set.imageOf as number[]]], [3, [0, 1, 2, 0, 1]]);
  assertEquals(set.grounded[4], { size: [8, 8], box: [0, 0, 4, 4], detections: [[1, 1, 2, 2]], split: "test" });
  assertEquals(set.grounded[0]!.detections, []);
  assertEquals([...(set.texts.ids as Uint32Array).subarray(0, 4)], tokenizer.encode("the left square", 6));
  const few = await groundingSet(await datasetOf(rows), tokenizer, { ...options, expressions: 1 });
  assertEquals(few.grounded.length, 1);
  const { box: _, ...boxless } = rows[0]!, lost = { ...rows[0]!, image: `${folder}/lost.png` };
  for (const [row, sentence] of [[boxless, "it must have a box: it has none"], [lost, "it does not exist"]] as const) {
    const dataset = await datasetOf([...rows, row, row].slice(-2 - Number(row === lost)));
    await assertRefused([() => groundingSet(dataset, tokenizer, options), sentence, Error]);
  }
});

Deno.test("GroundingEvaluator: a set's maps are those of each text by itself, and are scored", async () => {
  const set = await groundingSet(await datasetOf(rows), tokenizer, options), all: TextMaps[] = [];
  const evaluator = new GroundingEvaluator(config, { batch: 2 });
  const accuracy = await evaluator.evaluate(params, set, (text, maps, result) => {
    assertEquals(text, all.push(maps) - 1);
    assertEquals(result, judgeMap(maps.map, set.grounded[text]!));
  });
  assertEquals([all.length, accuracy.val!.texts, accuracy.test!.texts], [5, 4, 1]);
  const pointed = all.slice(0, 4).filter(({ map }, i) => judgeMap(map, set.grounded[i]!).points).length;
  assertEquals([accuracy.val!.pointing, accuracy.val!.covered], [pointed / 4, 0.25]);

  const last = set.texts.ids.length - options.maxLength;
  const [ids, mask] = [set.texts.ids, set.texts.mask].map((values) => Array.from(values).slice(last));
  const image = await set.images.load([1]);
  const [alone] = await evaluator.maps(params, image, {
    ids: tensor(Uint32Array.from(ids!), [1, options.maxLength]),
    mask: tensor(Float32Array.from(mask!), [1, options.maxLength]),
  });
  evaluator.destroy();
  assertClose(all[4]!.map.values, alone!.map.values, 1e-4, 0);
  assertEquals([all[4]!.words!.length, all[4]!.map.size], [options.maxLength, [2, 2]]);
  assert(alone!.words!.slice(0, 4).some(({ values }) => Array.from(values).some((x) => x > 0)));
});
