import { assertEquals, assertThrows } from "@std/assert";
import { type Entries, splitImages } from "../../examples/tasks/hold_out.ts";
import type { Example } from "../../src/data/dataset.ts";
import { Random } from "../../src/random/random.ts";
import { UsageError } from "../../src/settings/errors.ts";

/** Entry i is about image i % 10. */
const dataset: Entries<Example> = {
  name: "numbers",
  length: 40,
  skipped: [],
  entry: (index) => ({ images: [{ path: `${index % 10}.png`, id: index % 10 }] }),
  example: (index) => ({ images: [{ path: `${index % 10}.png`, id: index % 10 }] }),
};

function imagesOf(dataset: Entries<Example>): string[] {
  const random = new Random(0);
  return Array.from({ length: dataset.length }, (_, i) => {
    assertEquals(dataset.example(i, random), dataset.entry(i));
    return dataset.entry(i).images![0]!.path;
  });
}

Deno.test("splitImages holds some images out with all their entries, whatever files say of them", () => {
  const [rest, held] = splitImages(dataset, 0.3, 1), kept = imagesOf(rest), out = imagesOf(held(dataset));
  assertEquals([kept.length, out.length], [28, 12]);
  assertEquals(new Set(kept).intersection(new Set(out)).size, 0);
  const once: Entries<Example> = { ...dataset, length: 10 };
  assertEquals(new Set(imagesOf(held(once))), new Set(out));
  assertEquals(imagesOf(splitImages(dataset, 0.3, 1)[0]), kept);
  const seeds = new Set([1, 2, 3, 4].map((seed) => imagesOf(splitImages(dataset, 0.3, seed)[0]).join()));
  assertEquals(seeds.size > 1, true);
  for (const share of [0.01, 1]) {
    assertThrows(() => splitImages(dataset, share, 1), UsageError, "--hold-out must leave images on both sides");
  }
});
