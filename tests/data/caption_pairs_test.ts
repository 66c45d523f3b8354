import { assertEquals, assertThrows } from "@std/assert";
import { captionPair } from "../../src/data/caption_pairs.ts";
import { ExampleError } from "../../src/data/dataset.ts";
import { openDataset } from "../../src/data/datasets.ts";
import { Random } from "../../src/random/random.ts";

Deno.test("captionPair() gives the image and one caption, cleaned", () => {
  const entry = { image: "a.jpg", captions: ["A red kite!", "(blue)", "big-cube"], imageId: 7 };
  const drawn = Array.from({ length: 30 }, (_, i) => captionPair(entry, new Random(i)));
  assertEquals(drawn[0]!.images, [{ path: "a.jpg", id: 7 }]);
  assertEquals(drawn[0]!.imageId, 7);
  assertEquals([...new Set(drawn.map(({ caption }) => caption))].sort(), ["a red kite", "big cube", "blue"]);
});

Deno.test("captionPair() draws nothing where there is one caption", () => {
  const random = new Random(0);
  assertEquals(captionPair({ image: "a", captions: ["b"], imageId: 0 }, random).caption, "b");
  assertEquals(random.state.position, 0);
});

Deno.test("captionPair() tells an empty caption, with the file", () => {
  for (const captions of [["?!"], [], ["?", "!"]]) {
    const error = assertThrows(
      () => captionPair({ image: "a.jpg", captions, imageId: 0 }, new Random(0)),
      ExampleError,
    );
    assertEquals([error.message, error.file], [`has an empty caption (${JSON.stringify(captions)})`, "a.jpg"]);
  }
});

Deno.test("openDataset() gives its entries as examples", async () => {
  const file = await Deno.makeTempFile({ suffix: ".tsv" });
  try {
    await Deno.writeTextFile(file, "a.jpg\tA kite!\nb.jpg\tTwo; kites\n");
    const dataset = await openDataset({ data: [file], images: "photos" });
    assertEquals(dataset.example(1, new Random(0)), {
      images: [{ path: "photos/b.jpg", id: 1 }],
      caption: "two kites",
      imageId: 1,
    });
    assertThrows(() => dataset.example(2, new Random(0)), RangeError, "it has the entries 0 to 1");
  } finally {
    await Deno.remove(file);
  }
});
