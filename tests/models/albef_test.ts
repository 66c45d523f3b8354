import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { type Albef, albefSpec, firstToken, vocabularyStates } from "../../src/models/albef.ts";
import { type BertContext, bertFusion, bertText, crossKeys } from "../../src/models/bert.ts";
import { configs } from "../../src/models/config.ts";
import { countParameters, initialize } from "../../src/nn/spec.ts";
import { gather } from "../../src/ops/gather.ts";
import { compile, evaluate, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose } from "../testing/reference.ts";
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

Deno.test("images in the place of copies, their keys made before, and the last layer for the first token alone change no logit", async () => {
  const p = initialize(albefSpec(config), 3) as Albef, { text_encoder } = p, { ids, mask } = texts(6, 6, 1);
  const image = randoms([2, 10, 24], 2),
    copies = await evaluate(gather(image, tensor(Uint32Array.of(0, 0, 0, 1, 1, 1))));
  const [plain, ...others] = await toHost(
    await compile((image: Tensor, copies: Tensor) => {
      const text = bertText(text_encoder, ids, { mask }, config.text);
      const first = (context: Pick<BertContext, "image" | "first">): Tensor =>
        firstToken(bertFusion(text_encoder, text, { mask, ...context }, config.text));
      const keys = crossKeys(text_encoder, image, config.text);
      return [
        first({ image: copies }),
        first({ image }),
        first({ image: keys }),
        first({ image: copies, first: true }),
      ];
    })(image, copies),
  );
  for (const other of others) assertClose(other, plain!);
  const four = randoms([4, 10, 24], 2);
  assertThrows(
    () => bertFusion(text_encoder, randoms([6, 6, 16], 1), { mask, image: four }, config.text),
    RangeError,
    "4 images must be shared by a multiple of 4 texts: there are 6",
  );
});
