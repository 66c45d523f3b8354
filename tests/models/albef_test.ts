import { assertEquals, assertNotEquals } from "@std/assert";
import { type Albef, albefSpec, vocabularyStates } from "../../src/models/albef.ts";
import { configs } from "../../src/models/config.ts";
import { countParameters, initialize } from "../../src/nn/spec.ts";
import { compile, toHost } from "../../src/program/compile.ts";
import { config, randoms, texts } from "./sizes.ts";

Deno.test("the base model has 209,937,725 parameters", () => {
  const spec = albefSpec(configs.base);
  assertEquals(countParameters(spec.visual_encoder), 85_844_736);
  assertEquals(countParameters(spec.text_encoder), 123_697_722);
  assertEquals(countParameters(spec), 209_937_725);
});

Deno.test("without an image the states of a text are those of layers that have no cross-attention", async () => {
  const p = initialize(albefSpec(config), 3) as Albef, words = texts(3, 6, 1), image = randoms([3, 10, 24], 2);
  const { bert, cls } = p.text_encoder;
  const layer = bert.encoder.layer.map(({ attention, intermediate, output }) => ({ attention, intermediate, output }));
  const plain = { text_encoder: { bert: { ...bert, encoder: { layer } }, cls } };
  const states = async (text: Pick<Albef, "text_encoder">, seen?: typeof image) =>
    await toHost(await compile(() => vocabularyStates(text, words, seen, { config }))());
  const without = await states(p);
  assertEquals(without, await states(plain));
  assertEquals(without, await states(plain, image));
  assertNotEquals(without, await states(p, image));
});
