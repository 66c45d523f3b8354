import { assert, assertEquals, assertThrows } from "@std/assert";
import { tower, type TowerConfig, towerSpec } from "../../src/models/image_tower.ts";
import {
  embedImages,
  embedRows,
  type ImagePrefixConfig,
  imageTokenCount,
  spliceImages,
  type VisionLanguage,
  type VisionLanguageConfig,
  visionLanguageSpec,
} from "../../src/models/vision_language.ts";
import { vit, vitSpec } from "../../src/models/vit.ts";
import { initialize } from "../../src/nn/spec.ts";
import { slice } from "../../src/ops/shape.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { evaluate, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import { assertClose, randomSource } from "../testing/reference.ts";
import { plainRows, valuesOf } from "./plain_decoder.ts";
import { plainGelu, plainLinear, plainTower } from "./plain_tower.ts";
import { randoms } from "./sizes.ts";

const sizes: TowerConfig = { resolution: 12, patch: 4, width: 8, depth: 2, heads: 2, intermediate: 12, eps: 1e-6 };
const towers: Readonly<Record<string, TowerConfig>> = {
  "a class token": sizes,
  "SigLIP's choices, the last norm left out": { ...sizes, classToken: false, gelu: "tanh", finalNorm: false },
  "DINOv2's choices, with registers": { ...sizes, layerScale: 0.7, registers: 3 },
};

/** Parameters that start so that every one matters. */
function shaken<T>(params: T, seed: number): T {
  const random = randomSource(seed);
  for (const t of leaves(params as Tree)) t.node.host = t.node.host!.map((x) => x + random() - 0.5) as Float32Array;
  return params;
}

async function values(result: Tensor): Promise<number[]> {
  return [...(await toHost((await evaluate([result]))[0]!))];
}

/** The patches of each image. */
async function patchesOf(images: Tensor, patch: number): Promise<number[][][]> {
  const cut = patchify(images, patch), [count, rows, width] = cut.shape as [number, number, number];
  const flat = await values(cut), at = Array.from({ length: rows }, (_, i) => i);
  return Array.from(
    { length: count },
    (_, n) => plainRows(flat.slice(n * rows * width, (n + 1) * rows * width), width, at),
  );
}

for (const [name, config] of Object.entries(towers)) {
  Deno.test(`tower() with ${name}`, async () => {
    const p = shaken(initialize(towerSpec(config), 2), 5), images = randoms([2, 3, 12, 12], 1);
    const found = await values(tower(p, patchify(images, 4), config));
    const plain = (await patchesOf(images, 4)).map((patches) => plainTower(valuesOf(p as Tree), patches, config));
    assertClose(Float32Array.from(found), plain.flat(2));
    const again = await values(tower(p, patchify(images, 4), config, { remat: true }));
    assertEquals(again, found);
  });
}

Deno.test("tower() with nothing special is vit() without its class token", async () => {
  const p = shaken(initialize(vitSpec(sizes), 2), 5), patches = patchify(randoms([2, 3, 12, 12], 1), 4);
  assertEquals(await values(tower(p, patches, sizes)), await values(slice(vit(p, patches, sizes), 1, 1, 10)));
});

const decoder = { vocabulary: 11, width: 6, layers: 1, heads: 1, maxPositions: 32, hidden: 8 };
const bare = { resolution: 6, patch: 3 }, IMAGE = 77;

for (const projector of ["linear", "mlp", "fused-mlp"] as const) {
  for (const [name, encoder] of [["bare patches", bare], ["an encoder", sizes]] as const) {
    Deno.test(`embedImages(): ${name} through the projector "${projector}"`, async () => {
      const image: ImagePrefixConfig = { imageToken: IMAGE, encoder, projector };
      const p = shaken(initialize(visionLanguageSpec({ decoder, image }), 3), 4) as VisionLanguage;
      const images = randoms([2, 3, encoder.resolution, encoder.resolution], 6), all = valuesOf(p as Tree);
      const prefix = "vision_backbone.featurizer.",
        own = (cut: string) =>
          new Map([...all].filter(([name]) => name.startsWith(cut)).map(([name, x]) => [name.slice(cut.length), x]));
      const states = (await patchesOf(images, encoder.patch)).map((patches) =>
        "width" in encoder ? plainTower(own(prefix), patches, encoder) : patches
      );
      const maps = { linear: 1, mlp: 2, "fused-mlp": 3 }[projector];
      const expected = states.flat().map((row) => {
        let x: number[] = [...row];
        for (let i = 0; i < maps; i++) {
          x = plainLinear(all, `projector.projector.${2 * i}`, i ? x.map((v) => plainGelu(v)) : x);
        }
        return x;
      });
      assertEquals(imageTokenCount(image), states[0]!.length);
      assertClose(Float32Array.from(await values(embedImages(p, images, image))), expected.flat());
    });
  }
}

Deno.test("spliceImages() puts images in the order of their places, two in a row, and leaves out what has none", async () => {
  const p = initialize(visionLanguageSpec({ decoder }), 3).llm_backbone.llm.model, x = IMAGE;
  const rows = [[1, x, x, 4, x, x, 5], [2, 3, 4, 5, 6, x, x]], images = randoms([4, 2, 6], 2), own = images.node.host!;
  const found = await values(spliceImages(p, tensor(Int32Array.from(rows.flat()), [2, 7]), images, IMAGE));
  const table = p.tok_embeddings.weight.node.host!;
  let next = 0;
  const expected = rows.flat().map((id) => id === x ? plainRows(own, 6, [next++])[0]! : plainRows(table, 6, [id])[0]!);
  assertEquals(next, 6);
  assertEquals(found, expected.flat());
});

Deno.test("embedRows() refuses images where the model has no prefix", () => {
  const config: VisionLanguageConfig = { decoder }, p = initialize(visionLanguageSpec(config), 3) as VisionLanguage;
  const tokens = tensor(Int32Array.of(1), [1, 1]);
  assertThrows(
    () => embedRows(p, tokens, randoms([1, 3, 6, 6], 1), { config }),
    TypeError,
    "must have an image prefix",
  );
});

Deno.test("embedImages(): at the start tokens of images, and what tells images apart, are no quieter than words", async () => {
  const encoder: TowerConfig = { resolution: 24, patch: 8, width: 48, depth: 1, heads: 4, eps: 1e-6 }, width = 64;
  const config = { decoder: { ...decoder, vocabulary: 64, width, heads: 4 }, image: { imageToken: IMAGE, encoder } };
  const p = initialize(visionLanguageSpec(config), 3) as VisionLanguage, count = 12, size = 9 * width;
  const seen = await values(embedImages(p, randoms([count, 3, 24, 24], 6), config.image));
  const means = Array.from(
    { length: size },
    (_, k) => seen.filter((_, i) => i % size === k).reduce((a, b) => a + b, 0) / count,
  );
  const apart = deviation(seen.map((x, i) => x - means[i % size]!));
  const words = deviation([...p.llm_backbone.llm.model.tok_embeddings.weight.node.host!]);
  assert(apart > words && deviation(seen) < 10 * words, `${deviation(seen)}, ${apart} apart; words ${words}`);
});

/** Root mean square. */
function deviation(x: readonly number[]): number {
  return Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
}
