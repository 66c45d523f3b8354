import { assertEquals, assertThrows } from "@std/assert";
import { sceneTruth } from "../../src/data/scenes/truth.ts";
import { falseNegativeRate } from "../../src/eval/false_negatives.ts";
import { withFolder } from "../testing/folders.ts";
import { assertRefused } from "../testing/refusals.ts";

const dot = { shape: "circle", color: "red", size: "big", row: 0, column: 0 } as const;
const star = { shape: "star", color: "blue", size: "small", row: 2, column: 2 } as const;

Deno.test("falseNegativeRate() counts both directions with the right roles", () => {
  // Text 0 is true of image 1 too; image 0 has no other true text.
  const isTrue = (image: number, text: string) => image === 1 && text === "t0";
  const rows = { images: [0, 1, 2], texts: ["t0", "t1", "t2"] };
  const rate = (images: number[], texts: number[]) =>
    falseNegativeRate(rows, { images: Uint32Array.from(images), texts: Uint32Array.from(texts) }, isTrue);
  assertEquals(rate([1, 0, 0], [1, 2, 1]), { drawn: 6, wrong: 1, rate: 1 / 6 });
  assertEquals(rate([2, 0, 0], [1, 0, 1]), { drawn: 6, wrong: 1, rate: 1 / 6 });
  assertEquals(rate([1, 2, 0], [1, 0, 1]), { drawn: 6, wrong: 2, rate: 1 / 3 });
  assertEquals(rate([2, 0, 1], [1, 2, 0]), { drawn: 6, wrong: 0, rate: 0 });
});

Deno.test("falseNegativeRate() refuses what does not fit", async () => {
  const rows = { images: [0, 1], texts: [0, 1] },
    ask = (images: number[], texts: number[]) => () => falseNegativeRate(rows, { images, texts }, () => true);
  await assertRefused(
    [ask([1], [1, 0]), "there are 2 images, 2, 1, 2 others"],
    [ask([1, 2], [1, 0]), "from 0 to 1: one is 2"],
    [() => falseNegativeRate({ images: [], texts: [] }, { images: [], texts: [] }, () => true), "at least one"],
  );
});

Deno.test("sceneTruth() answers from a file of facts, the same when asked again", async () => {
  await withFolder(async (folder) => {
    const facts = `${folder}/facts.json`;
    await Deno.writeTextFile(facts, JSON.stringify({ images: [{ objects: [dot] }, { objects: [star, dot] }] }));
    const isTrue = await sceneTruth({ facts });
    const left = "a big red disk left of a small blue star", corner = "a large red circle at the top left";
    for (let again = 0; again < 2; again++) {
      assertEquals([isTrue(0, left), isTrue(1, left), isTrue(0, corner), isTrue(1, corner)], [false, true, true, true]);
    }
    const rows = { images: [0, 1], texts: [corner, left] };
    assertEquals(falseNegativeRate(rows, { images: [1, 0], texts: [1, 0] }, isTrue).rate, 0.5);
    assertThrows(() => isTrue(2, left), RangeError, "there are the images 0 to 1");
    assertThrows(() => isTrue(0, "a dog"), SyntaxError, "Cannot read");
  });
});
