import { assert, assertEquals } from "@std/assert";
import { decodeImage } from "../../src/data/images.ts";
import { buildTokenizer } from "../../src/data/tokenizer.ts";
import type { HeatMap } from "../../src/eval/grounding.ts";
import { heatColor, paintMap, writeMapPictures } from "../../src/eval/map_pictures.ts";
import { wordMaps } from "../../src/eval/word_maps.ts";
import { folder, greyImages } from "../data/loading.ts";
import { assertRefused } from "../testing/refusals.ts";

/** A map of one value per token on a grid of 1 x 1. */
const flat = (value: number): HeatMap => ({ values: [value], size: [1, 1] });

Deno.test("wordMaps(): a word cut in pieces has the mean of their maps; padding and what was cut off have none", () => {
  // There is room for characters only: "red" is r, ##e, ##d.
  for (const sep of [false, true]) {
    const tokenizer = buildTokenizer(["red a"], { size: 13, sep }), text = "red  a";
    assertEquals(tokenizer.encode(text, 9).length, 5 + Number(sep));
    const all = wordMaps(tokenizer, text, [9, 1, 2, 6, 4, 0, 0].map(flat));
    assertEquals(all.map(({ word, map }) => [word, map.values[0]]), [["red", 3], ["a", 4]]);
    const cut = wordMaps(tokenizer, text, [9, 1, 2, 6].slice(0, 3 + Number(sep)).map(flat));
    assertEquals(cut.map(({ word, map }) => [word, map.values[0]]), [["red", 1.5]]);
  }
});

/** How light a colour looks: the luminance of sRGB. */
function luminance(rgb: readonly number[]): number {
  const [r, g, b] = rgb.map((c) => c <= 10.3 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

Deno.test("heatColor() grows lighter with the value, so that it can be read without seeing colours", () => {
  const light = Array.from({ length: 101 }, (_, i) => luminance(heatColor(i / 100)));
  light.slice(1).forEach((y, i) => assert(y > light[i]!, `${i / 100}`));
  assertEquals([heatColor(-1), heatColor(7)], [heatColor(0), heatColor(1)]);
});

Deno.test("paintMap() paints up to the peak over the photo in grey", () => {
  const photo = { data: Uint8Array.of(...[100, 100, 100], ...[100, 100, 100]), width: 2, height: 1 };
  const pixels = (map: HeatMap, peak?: number): number[][] => {
    const { data } = paintMap(photo, map, peak);
    return [[...data.subarray(0, 3)], [...data.subarray(3)]];
  };
  const over = (value: number): number[] => heatColor(value).map((c) => Math.round(0.6 * c + 0.4 * 100));
  const map = { values: [1, 2], size: [1, 2] as const };
  assertEquals(pixels(map), [over(0.5), over(1)]);
  assertEquals(pixels(map, 4), [over(0.25), over(0.5)]);
  assertEquals(pixels({ ...map, values: [0, 0] }), [over(0), over(0)]);
});

Deno.test("writeMapPictures() writes the text's and each word's picture, lighter where the map is larger", async () => {
  const map = (values: number[]): HeatMap => ({ values, size: [2, 2] });
  const words = [{ word: "red", map: map([0, 0, 1, 0]) }, { word: "a/b", map: map([0, 1, 0, 0]) }];
  const paths = await writeMapPictures(`${folder}/maps/of`, { photo: greyImages[5]!, map: map([1, 0, 0, 0]), words }, {
    side: 32,
  });
  assertEquals(paths.map((path) => path.slice(folder.length)), [
    "/maps/of/text.png",
    "/maps/of/1-red.png",
    "/maps/of/2-a_b.png",
  ]);
  for (const [i, quarter] of [0, 2, 1].entries()) {
    const { data, width, height } = await decodeImage(paths[i]!, 2 ** 20);
    assertEquals([width, height], [32, 32]);
    const at = (q: number): number =>
      luminance([...data.subarray(3 * (32 * (q < 2 ? 4 : 27) + (q % 2 ? 27 : 4))).slice(0, 3)]);
    for (const other of [0, 1, 2, 3].filter((q) => q !== quarter)) assert(at(quarter) > at(other) + 0.1);
  }
  await assertRefused([
    () => writeMapPictures(folder, { photo: `${folder}/none.png`, map: map([1, 0, 0, 0]), words: [] }),
    `Cannot paint maps over "${folder}/none.png": it does not exist`,
    Error,
  ]);
});
