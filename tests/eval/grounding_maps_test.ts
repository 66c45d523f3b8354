import { assert, assertEquals } from "@std/assert";
import { groundingLayer, groundingMaps, type GroundingMapsOptions } from "../../src/eval/grounding_maps.ts";
import { type Albef, albefSpec, type PatchedPairs } from "../../src/models/albef.ts";
import { configs } from "../../src/models/config.ts";
import { initialize } from "../../src/nn/spec.ts";
import { compile, tensor } from "../../src/program/compile.ts";
import type { Tree } from "../../src/program/tree.ts";
import { config as sizes, patches, texts } from "../models/sizes.ts";
import { valuesOf } from "../recipes/squares.ts";
import { assertClose } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";

const config = { ...sizes, text: { ...sizes.text, init: 0.4 }, vision: { ...sizes.vision, init: 0.4 } };
const params = initialize(albefSpec(config), 7);

async function mapsOf(pairs: PatchedPairs, options: GroundingMapsOptions): Promise<Map<string, Float32Array>> {
  const run = (p: Tree, pairs: PatchedPairs): Tree => groundingMaps(p as Albef, pairs, { config }, options);
  return await valuesOf(run, [params as Tree, pairs]);
}

/** A pair by itself, its text padded to `length`. */
function padded(length: number): PatchedPairs {
  const own = texts(1, 5, 2),
    wide = (values: ArrayLike<number>): number[] => Array.from({ length }, (_, i) => values[i] ?? 0);
  return {
    patches: patches(1, 1),
    ids: tensor(Uint32Array.from(wide(own.ids.node.host!)), [1, length]),
    mask: tensor(Float32Array.from(wide(own.mask.node.host!)), [1, length]),
  };
}

Deno.test("groundingMaps(): a text's map does not depend on padding, the official one shrinks with it", async () => {
  const [short, long] = [await mapsOf(padded(5), {}), await mapsOf(padded(8), {})];
  assert(short.get("map")!.some((x) => x > 0));
  assertClose(long.get("map")!, short.get("map")!, 1e-4, 0);
  assert(long.get("words")!.subarray(5 * 9).every((x) => x === 0), "padding has no map");
  const official = await mapsOf(padded(8), { meanOver: "positions" });
  assertClose(official.get("map")!, short.get("map")!.map((x) => 5 / 8 * x), 1e-4, 0);
});

Deno.test("groundingMaps(): the maps are those of the attention and its positive gradient", async () => {
  const pairs = { patches: patches(2, 3), ...texts(2, 5, 4) }, mask = pairs.mask.node.host!;
  const { heads } = config.text, results = await mapsOf(pairs, { layer: 1 });
  const [attention, gradient, words, map] = ["attention", "gradient", "words", "map"].map((name) => results.get(name)!);
  const expected = Array.from({ length: 2 * 5 * 9 }, (_, at) => {
    const pair = Math.floor(at / 45), token = Math.floor(at / 9) % 5, patch = at % 9;
    let sum = 0;
    for (let head = 0; head < heads; head++) {
      const i = ((pair * heads + head) * 5 + token) * 10 + 1 + patch; // the first key is the image's [CLS]
      sum += attention![i]! * Math.max(0, gradient![i]!) / heads * mask[pair * 5 + token]!;
    }
    return sum;
  });
  assertClose(words!, expected, 1e-5, 0);
  const means = Array.from({ length: 18 }, (_, at) => {
    const pair = Math.floor(at / 9), own = [0, 1, 2, 3, 4].filter((token) => mask[pair * 5 + token]);
    return own.reduce((sum, token) => sum + expected[(pair * 5 + token) * 9 + at % 9]!, 0) / own.length;
  });
  assertClose(map!, means, 1e-5, 0);
});

Deno.test("groundingMaps(): a pair's maps do not depend on the other pairs, by matching or by similarity", async () => {
  const two = { patches: patches(2, 3), ...texts(2, 5, 4) };
  const first = <T extends { data: Float32Array | Uint32Array }>({ data }: T, count: number): T["data"] =>
    data.slice(0, count);
  const host = (name: "patches" | "ids" | "mask") => ({ data: two[name].node.host as Float32Array | Uint32Array });
  const one = {
    patches: tensor(first(host("patches"), 9 * 48), [1, 9, 48]),
    ids: tensor(first(host("ids"), 5), [1, 5]),
    mask: tensor(first(host("mask"), 5), [1, 5]),
  };
  for (const by of ["itm", "itc"] as const) {
    const [both, alone] = [await mapsOf(two, { by }), await mapsOf(one, { by })];
    assertEquals(both.get("map")!.length, 18);
    assertClose(both.get("map")!.subarray(0, 9), alone.get("map")!, 1e-4, 0);
    assertClose(both.get("scores")!.subarray(0, 1), alone.get("scores")!, 1e-5);
    assertEquals(both.has("words"), by === "itm");
  }
});

Deno.test("groundingMaps(): one layer's probabilities are written out, all other attentions stay fused", async () => {
  for (const [by, layer] of [["itm", 1], ["itc", 0]] as const) {
    const maps = compile((p: Tree, pairs: PatchedPairs): Tree =>
      groundingMaps(p as Albef, pairs, { config }, { by, layer })
    );
    const text = String(await maps.program(params as Tree, { patches: patches(2, 3), ...texts(2, 5, 4) }));
    const count = (kernel: string): number => text.split("\n").filter((line) => line.startsWith(`  ${kernel} `)).length;
    assertEquals(count("softmax"), 1, by);
    // The image's block, the texts' three self-attentions and one cross-attention; or what is left of the block, and one text layer.
    assertEquals(count("attention"), by === "itm" ? 5 : 2, by);
    maps.destroy();
  }
});

Deno.test("groundingLayer() is the third fusion layer where there is one", () => {
  assertEquals(groundingLayer(configs.base), 8);
  assertEquals(groundingLayer(configs.tiny), 3);
  assertEquals(groundingLayer(configs.base, "itc"), 11);
});

Deno.test("groundingLayer() of words is below the last layer, where words have no maps", async () => {
  assertEquals(["base", "tiny"].map((size) => groundingLayer(configs[size as "base" | "tiny"], "words")), [8, 2]);
  const one = { ...configs.tiny, text: { ...configs.tiny.text, fusionLayer: 3 } };
  assertEquals(groundingLayer(one, "words"), 3);
  const words = (await mapsOf(padded(5), { layer: 2 })).get("words")!;
  assert(words.subarray(0, 9).some((x) => x > 0) && words.subarray(9).every((x) => x === 0));
});

Deno.test("groundingMaps() refuses layers without the attention", async () => {
  const refused = (options: GroundingMapsOptions) => () =>
    compile((p: Tree, pairs: PatchedPairs) => groundingMaps(p as Albef, pairs, { config }, options).map)(
      params as Tree,
      padded(5),
    );
  await assertRefused(
    [refused({ layer: 0 }), 'by "itm": the layer must be a fusion layer, 1 to 2: it is 0'],
    [refused({ layer: 3 }), 'by "itm": the layer must be a fusion layer, 1 to 2: it is 3'],
    [refused({ by: "itc", layer: 1 }), 'by "itc": the layer must be a block of the vision encoder, 0 to 0: it is 1'],
  );
});
