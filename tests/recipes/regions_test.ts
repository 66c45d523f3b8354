import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { regionCollate, type RegionSizes } from "../../src/data/regions/collate.ts";
import type { RegionPair } from "../../src/data/regions/dataset.ts";
import { regionClassLoss, regionFeatureLoss } from "../../src/losses/regions.ts";
import { type RegionModel, regionSpec, regionStates } from "../../src/models/regions.ts";
import { initialize } from "../../src/nn/spec.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { regions } from "../../src/recipes/regions.ts";
import { checkOp } from "../testing/check_op.ts";
import { randomTensor } from "../testing/reference.ts";
import {
  assertShapes,
  batchesOf,
  colours,
  config as base,
  lossOf,
  setupOf,
  square,
  trainOn,
  valuesOf,
} from "./squares.ts";

const names = Object.keys(colours), sizes: RegionSizes = { most: 3, width: 6, classes: 4, names };
const config = { ...base, text: { ...base.text, maxPositions: 16 } };
const setup = (batch: number) => setupOf(batch, { config, regions: sizes });

/** A region of the colour, and for odd ones a second one that says nothing. */
const examples: RegionPair[] = names.map((colour, id) => {
  const count = 1 + id % 2, features = new Float32Array(6 * count);
  features[id] = 2;
  const boxes = Float32Array.from([0, 0, 0.5, 0.5, 0.5, 0.25, 1, 1].slice(0, 4 * count));
  return {
    images: [square(colour)],
    caption: `a ${colour} square`,
    imageId: id,
    regions: { count, boxes, features, classes: Uint32Array.from([id, 3].slice(0, count)) },
  };
});

Deno.test("regions: mini-batches have the shapes that are known without a tokenizer, also with tags", async () => {
  for (const tags of [false, true]) {
    await assertShapes(examples, (given) => regions.objective({ ...given, config, regions: sizes }, { tags }));
  }
});

Deno.test("regionCollate(): features, places, classes and masks lie where the regions are; tags name the classes", async () => {
  const own = regions.objective(setup(4), { tags: true }), [batch] = await batchesOf(examples, own.collate, 4);
  const row = (t: Tensor, i: number): number[] => [...t.node.host!.slice(i * t.size / 4, (i + 1) * t.size / 4)];
  assertEquals(row(batch!.regionMask, 0), [1, 0, 0]);
  assertEquals(row(batch!.regionMask, 1), [1, 1, 0]);
  assertEquals(row(batch!.features, 2), [0, 0, 2, ...new Array(15).fill(0)]);
  assertEquals(row(batch!.places, 1), [
    0,
    0,
    0.5,
    0.5,
    0.5,
    0.5,
    0.25,
    0.5,
    0.25,
    1,
    1,
    0.5,
    0.75,
    0.375,
    ...new Array(7).fill(0),
  ]);
  assertEquals(row(batch!.shares!, 1), [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
  for (let i = 0; i < 4; i++) {
    const masked = row(batch!.maskedRegions, i), there = row(batch!.regionMask, i);
    assert(masked.includes(1) && masked.every((x, j) => x <= there[j]!), `${masked} of ${there}`);
  }
  const { tokenizer } = setup(4),
    tagIds = row(batch!.tags!.ids, 1).filter((_, i) => batch!.tags!.mask.node.host![8 + i]);
  assertEquals(tokenizer!.decode(tagIds), `${names[1]} ${names[3]}`);
});

Deno.test("regionCollate(): of too many regions the surest are taken, in their order; nothing else changes", async () => {
  const many: RegionPair = {
    ...examples[0]!,
    regions: {
      count: 4,
      boxes: new Float32Array(16),
      features: Float32Array.from({ length: 24 }, (_, i) => Math.floor(i / 6)),
      confidences: Float32Array.of(0.1, 0.9, 0.3, 0.5),
      classes: Uint32Array.of(0, 1, 2, 3),
    },
  };
  const { tokenizer } = setup(1), collate = regionCollate({ regions: { ...sizes, most: 2 }, maxLength: 8, tokenizer });
  const [batch] = await batchesOf([many], collate, 1);
  assertEquals([...batch!.features.node.host!], [1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3]);
});

Deno.test("regionFeatureLoss() and regionClassLoss() are float64's; without a masked region they are 0", async () => {
  const [b, r, f] = [2, 3, 4], masked = [1, 0, 1, 0, 0, 1];
  const features = randomTensor([b, r, f], 3).data as Float32Array;
  const shares = Float32Array.from({ length: b * r * f }, (_, i) => i < 4 ? +(i === 2) : [0.5, 0.25, 0, 0.25][i % 4]!);
  const mean = (of: (row: number) => number): number =>
    masked.reduce((sum, m, row) => sum + m * of(row), 0) / masked.reduce((a, m) => a + m, 0);
  const at = [b, r, f], mask = tensor(masked, [b, r]);
  await checkOp(
    (x) => regionFeatureLoss(x, tensor(features, at), mask),
    [randomTensor([b, r, f], 1)],
    (
      x,
    ) => [
      mean((row) => [0, 1, 2, 3].reduce((sum, k) => sum + (x.data[row * f + k]! - features[row * f + k]!) ** 2 / f, 0)),
    ],
  );
  await checkOp(
    (x) => regionClassLoss(x, tensor(shares, at), mask),
    [randomTensor([b, r, f], 2)],
    (x) => [
      mean((row) => {
        const own = [0, 1, 2, 3].map((k) => x.data[row * f + k]!), most = Math.max(...own);
        const lse = most + Math.log(own.reduce((s, v) => s + Math.exp(v - most), 0));
        return own.reduce((sum, v, k) => {
          const share = shares[row * f + k]!;
          return sum + (share ? share * (Math.log(share) - (v - lse)) : 0);
        }, 0);
      }),
    ],
  );
  const none = await valuesOf(
    (x: Tensor) => ({ a: regionFeatureLoss(x, x, noneMasked(x)), b: regionClassLoss(x, x, noneMasked(x)) }),
    [
      tensor(features, at),
    ],
  );
  assertEquals([none.get("a")![0], none.get("b")![0]], [0, 0]);
});

/** No region is masked. */
function noneMasked(x: Tensor): Tensor {
  return tensor(new Float32Array(x.shape[0]! * x.shape[1]!), x.shape.slice(0, 2));
}

Deno.test("regions: padding of regions and words changes nothing, a masked region's feature is not seen", async () => {
  const spec = regionSpec({ text: config.text, width: 6, classes: 4 }), params = initialize(spec, 1);
  const context = { config: { text: config.text, width: 6, classes: 4 } };
  const states = async (count: number, change: (features: Float32Array) => void, hidden = [0, 0, 0]) => {
    const features = new Float32Array(3 * 6).map((_, i) => Math.sin(i));
    change(features);
    const of = (values: ArrayLike<number>, width: number) =>
      tensor(Float32Array.from(values).slice(0, count * width), [1, count, width]);
    const mask = (values: readonly number[]) => tensor(values.slice(0, count), [1, count]);
    const run = (p: Tree) =>
      regionStates(
        p as RegionModel,
        { ids: tensor(Uint32Array.of(2, 5, 6), [1, 3]), mask: tensor([1, 1, 0], [1, 3]) },
        {
          features: of(features, 6),
          places: of(new Float32Array(21).fill(0.3), 7),
          regionMask: mask([1, 1, 0]),
          hidden: mask(hidden),
        },
        context,
      ) as unknown as Tree;
    return (await valuesOf(run, [params as Tree])).get("pooled")!;
  };
  const plain = await states(3, () => {}),
    close = (a: Float32Array, b: Float32Array): boolean => a.every((x, i) => Math.abs(x - b[i]!) < 1e-5);
  assert(close(plain, await states(2, () => {})), "without padding");
  assert(close(plain, await states(3, (f) => f.fill(9, 12))), "padding's features");
  assert(!close(plain, await states(3, (f) => f.fill(9, 6, 12))), "a region's features");
  const masked = await states(3, () => {}, [0, 1, 0]);
  assert(!close(plain, masked) && close(masked, await states(3, (f) => f.fill(9, 6, 12), [0, 1, 0])));
});

Deno.test("regions: the loss is the weighted sum of its terms, and what the detector does not tell is refused", async () => {
  const own = regions.objective(setup(4), {
    itmWeight: 0.5,
    mlmWeight: 2,
    featureWeight: 3,
    classWeight: 0.25,
    wpaWeight: 0.3,
  });
  const [batch] = await batchesOf(examples, own.collate, 4), params = initialize(own.spec, 1);
  const results = await lossOf(own, params, {}, batch!), of = (name: string): number => results.get(name)![0]!;
  const sum = 0.5 * of("metrics.itm") + 2 * of("metrics.mlm") + 3 * of("metrics.feature") + 0.25 * of("metrics.class") +
    0.3 * of("metrics.wpa");
  assertAlmostEquals(of("loss"), sum, 1e-4);
  const without = { ...setup(4), regions: { ...sizes, classes: 0 } };
  assertThrows(() => regions.objective(without), RangeError, "--class-weight must be 0: the regions have no classes");
  assertThrows(
    () => regions.objective(without, { classWeight: 0, tags: true }),
    RangeError,
    "--tags needs regions with classes",
  );
  assertThrows(() => regions.objective(setup(4), { pollute: "tags" }), RangeError, "--pollute tags needs --tags");
});

Deno.test("regions: tags take part in every term but those of regions, and in false pairs they can be another's", async () => {
  const params = initialize(regions.objective(setup(4)).spec, 1), terms: string[][] = [];
  for (const values of [{}, { tags: true }, { tags: true, pollute: "tags" }] as const) {
    const own = regions.objective(setup(4), { ...values, transportRounds: 5 });
    const [batch] = await batchesOf(examples, own.collate, 4), results = await lossOf(own, params, {}, batch!);
    terms.push(["itm", "mlm", "wpa"].map((term) => `${results.get(`metrics.${term}`)![0]}`));
  }
  const [plain, tagged, polluted] = terms as [string[], string[], string[]];
  assert(plain.every((value, i) => value !== tagged[i]), `${plain} and ${tagged}`);
  assertEquals(polluted.map((value, i) => value === tagged[i]), [false, true, false]);
});

Deno.test("regions: in some steps the loss falls, that of every kind of term", async () => {
  const own = regions.objective(setup(4), { transportRounds: 2, maskRegions: 0.5, mask: 0.3 });
  const [batch] = await batchesOf(examples, own.collate, 4), start = initialize(own.spec, 1);
  const { params } = await trainOn(own, examples, { batch: 4, steps: 60, rate: 5e-3 });
  const [before, after] = [await lossOf(own, start, {}, batch!), await lossOf(own, params, {}, batch!)];
  for (const term of ["mlm", "feature", "class"]) {
    const [from, to] = [before, after].map((values) => values.get(`metrics.${term}`)![0]!);
    assert(to! < 0.7 * from!, `${term}: ${from} to ${to}`);
  }
});
