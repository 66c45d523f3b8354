import { assertEquals, assertThrows } from "@std/assert";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { loadParameters } from "../../src/io/load.ts";
import { initialize, specEntries } from "../../src/nn/spec.ts";
import { type Vilt, type ViltContext, viltSpec, viltStates } from "../../src/models/vilt.ts";
import {
  type CanvasImages,
  type Grid,
  ownPatches,
  type PatchRule,
  resizedPositions,
  seePatches,
} from "../../src/models/vilt_patches.ts";
import { compile, evaluate, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tokens } from "../../src/models/albef.ts";
import { checkOp } from "../testing/check_op.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { config, texts } from "./sizes.ts";

const features = 48, canvas: Grid = [3, 4];
/** Rows and columns of images on a canvas of 3 x 4 patches, where the position table has 3 x 3. */
const sizes: readonly Grid[] = [[3, 4], [2, 3], [3, 1], [1, 4]];
const noise = randomTensor([4, 12, features], 1).data as Float32Array;
const sizesTensor = (): Tensor => tensor(Uint32Array.from(sizes.flat()), [4, 2]);

Deno.test("viltStates(): an image in a batch is what it is alone, whatever lies beside it on its canvas", async () => {
  const params = initialize(viltSpec(config), 3), { ids, mask } = texts(4, 6, 2), width = config.vision.width;
  const run = async (tokens: Tokens, images: CanvasImages, context: Partial<ViltContext>): Promise<Float32Array[]> => {
    const program = compile((p: Vilt, tokens: Tokens, images: CanvasImages) => {
      const { pooled, image, imageMask, text } = viltStates(p, tokens, images, { config, ...context });
      return [pooled, image, imageMask, text];
    });
    const results = await toHost(await program(params, tokens, images)) as Float32Array[];
    program.destroy();
    return results;
  };
  const images = { patches: tensor(noise, [4, 12, features]), sizes: sizesTensor() };
  const [pooled, image, imageMask] = await run({ ids, mask }, images, { grid: canvas });
  for (const [b, [rows, columns]] of sizes.entries()) {
    const own = rows * columns;
    assertEquals([...imageMask!.slice(13 * b, 13 * b + 13)], Array.from({ length: 13 }, (_, i) => i <= own ? 1 : 0));
    // The same image on a canvas of its own size, with no size stated.
    const patches = Array.from(
      { length: rows },
      (_, y) => Array.from(noise.slice((b * 12 + y * 4) * features, (b * 12 + y * 4 + columns) * features)),
    ).flat();
    const row = (x: Tensor) => (x.node.host as Uint32Array | Float32Array).slice(6 * b, 6 * b + 6);
    const alone = await run(
      { ids: tensor(row(ids), [1, 6]), mask: tensor(row(mask), [1, 6]) },
      { patches: tensor(patches, [1, own, features]) },
      { grid: [rows, columns] },
    );
    assertClose(pooled!.slice(b * width, (b + 1) * width), alone[0]!);
    assertClose(image!.slice(b * 13 * width, (b * 13 + own + 1) * width), alone[1]!);
  }
});

/** Positions of a side x side table at the centre of a patch of an image of rows x columns: corners on corners. */
function position(table: ArrayLike<number>, side: number, at: Grid, [rows, columns]: Grid, depth: number): number[] {
  const place = (i: number, n: number): number => n === 1 ? 0 : i * (side - 1) / (n - 1);
  const y = place(at[0], rows), x = place(at[1], columns), y0 = Math.floor(y), x0 = Math.floor(x);
  return Array.from({ length: depth }, (_, d) => {
    const entry = (y: number, x: number): number =>
      table[(Math.min(y, side - 1) * side + Math.min(x, side - 1)) * depth + d]!;
    const line = (row: number): number => (1 - x + x0) * entry(row, x0) + (x - x0) * entry(row, x0 + 1);
    return (1 - y + y0) * line(y0) + (y - y0) * line(y0 + 1);
  });
}

Deno.test("resizedPositions() are linear with the corners on the corners, and 0 at padding", async () => {
  const side = 5, depth = 2, patches = tensor(noise, [4, 12, features]);
  await checkOp(
    (table) => {
      const own = ownPatches({ patches, sizes: sizesTensor() }, canvas);
      return resizedPositions(table, seePatches(patches, own, canvas, 12));
    },
    [randomTensor([side * side, depth], 4)],
    ({ data }) =>
      sizes.flatMap((size) =>
        Array.from(
          { length: 12 },
          (_, i) =>
            i < size[0] * size[1] ? position(data, side, [Math.floor(i / size[1]), i % size[1]], size, depth) : [0, 0],
        ).flat()
      ),
  );
});

Deno.test("seePatches(): own patches come first, padding is its first patch, and what is too much is cut", async () => {
  const patches = tensor(Float32Array.from(noise), [4, 12, features]);
  const seen = async (images: CanvasImages, rule: PatchRule, most: number): Promise<number[][][]> => {
    const { row, column, mask } = seePatches(images.patches, ownPatches(images, canvas, rule), canvas, most);
    const values = await toHost(await evaluate([row, column, mask]) as Tensor[]);
    return values.map((x) => [0, 1, 2, 3].map((b) => [...x!.slice(most * b, most * b + most)]));
  };
  const [row, column, mask] = await seen({ patches, sizes: sizesTensor() }, "size", 5);
  assertEquals(row, [[0, 0, 0, 0, 1], [0, 0, 0, 1, 1], [0, 1, 2, 0, 0], [0, 0, 0, 0, 1]]);
  assertEquals(column, [[0, 1, 2, 3, 0], [0, 1, 2, 0, 1], [0, 0, 0, 1, 1], [0, 1, 2, 3, 0]]);
  assertEquals(mask, [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]);

  // The official rule leaves out a patch of a real image whose upper left pixel is grey: red + green + blue = 0.
  const grey = Float32Array.from(noise);
  for (const [channel, value] of [0.5, -0.25, -0.25].entries()) grey[features + channel * features / 3] = value;
  const byPixel = await seen({ patches: tensor(grey, [4, 12, features]) }, "pixel", 12);
  assertEquals(byPixel[1]![0], [0, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 1]);
  assertEquals(byPixel[2]![0], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
});

Deno.test("seePatches(): canvases and grids must fit", () => {
  const patches = tensor(noise, [4, 12, features]), own = tensor(new Float32Array(48), [4, 12]);
  for (const [grid, most] of [[[3, 3], 9], [canvas, 13], [canvas, 0]] as const) {
    assertThrows(() => seePatches(patches, own, grid, most), RangeError, "they have 12");
  }
});

Deno.test("a file with the official names is a ViLT, its position table resized to a larger image", async () => {
  const path = new URL("../golden/data/vilt/weights.safetensors", import.meta.url).pathname;
  const spec = viltSpec({
    vision: { resolution: 36, patch: 6, width: 20, depth: 3, heads: 2, intermediate: 40, eps: 1e-6 },
    text: { ...config.text, vocabulary: 40, maxPositions: 12 },
  });
  const archive = await openCheckpoint(path),
    target = specEntries(spec).map(([name, { shape }]) => [name, shape] as const);
  const { tensors, report } = await loadParameters(target, archive, { resizePositions: true });
  archive.close();
  assertEquals([...tensors.keys()], target.map(([name]) => name));
  assertEquals([report.missing, report.leftOver], [[], []]);
  assertEquals(tensors.get("transformer.pos_embed")!.shape, [1, 37, 20]);
});
