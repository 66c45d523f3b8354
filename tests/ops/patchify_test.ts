import { assertEquals, assertThrows } from "@std/assert";
import { patchify, patchifyBytes, patchifyBytesOp } from "../../src/ops/patchify.ts";
import { transposeOp } from "../../src/ops/transpose.ts";
import { checkOp } from "../testing/check_op.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import { assertClose, randomSource, randomTensor, testOnEachKind } from "../testing/reference.ts";

interface Size {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly patch: number;
}

/** Patches of images whose pixels are given by `at(image, channel, line, column)`. */
function patches(
  { batch, height, width, patch }: Size,
  at: (b: number, c: number, y: number, x: number) => number,
): number[] {
  const out: number[] = [];
  const steps = (end: number, step: number) => Array.from({ length: end / step }, (_, i) => i * step);
  for (const b of steps(batch, 1)) {
    for (const top of steps(height, patch)) {
      for (const left of steps(width, patch)) {
        for (const c of steps(3, 1)) {
          for (const y of steps(patch, 1)) {
            for (const x of steps(patch, 1)) out.push(at(b, c, top + y, left + x));
          }
        }
      }
    }
  }
  return out;
}

const sizes: Size[] = [
  { batch: 2, height: 4, width: 6, patch: 2 },
  { batch: 1, height: 8, width: 16, patch: 8 },
  { batch: 3, height: 8, width: 4, patch: 4 },
  { batch: 1, height: 28, width: 14, patch: 7 },
];

testOnEachKind("patchify puts channel, row and column of each patch in order", async (device) => {
  for (const size of sizes) {
    const { batch, height, width, patch } = size;
    const images = randomTensor([batch, 3, height, width], 1);
    const node = patchify(placeholder(images.shape), patch).node.inputs[0]!.node;
    const split = { ...images, shape: node.inputs[0]!.shape };
    const [y] = await runOp(transposeOp, [split], node.attrs as { permutation: number[] }, device);
    const expected = patches(size, (b, c, row, column) => images.data[((b * 3 + c) * height + row) * width + column]!);
    assertEquals(Array.from(y!), expected);
  }
});

testOnEachKind("patchifyBytes unpacks and normalises", async (device) => {
  const mean = [0.5, 0.25, 0.125] as const, std = [0.5, 0.3, 0.2] as const;
  for (const size of sizes) {
    const { batch, height, width } = size;
    const random = randomSource(2);
    const bytes = Uint8Array.from({ length: batch * height * width * 3 }, () => Math.floor(random() * 256));
    const words = new Uint32Array(bytes.buffer);
    const images = { data: words, shape: [batch, words.length / batch], dtype: "u32" } as const;
    const [y] = await runOp(patchifyBytesOp, [images], { ...size, mean, std }, device);
    const pixel = (b: number, c: number, row: number, column: number) =>
      (bytes[((b * height + row) * width + column) * 3 + c]! / 255 - mean[c]!) / std[c]!;
    assertClose(y!, patches(size, pixel), 1e-6);
  }
});

Deno.test("patchify() has the right gradient", async () => {
  for (const size of sizes.slice(0, 3)) {
    const { batch, height, width, patch } = size;
    await checkOp((a) => patchify(a, patch), [randomTensor([batch, 3, height, width], 1)], (a) => {
      return patches(size, (b, c, row, column) => a!.data[((b * 3 + c) * height + row) * width + column]!);
    });
  }
});

Deno.test("patchify() has one row a patch and refuses sizes that do not divide", () => {
  assertEquals(patchify(placeholder([2, 3, 32, 16]), 8).shape, [2, 8, 192]);
  assertThrows(
    () => patchify(placeholder([2, 3, 30, 16]), 8),
    RangeError,
    "multiples of the patch 8: they are 30 and 16",
  );
  const options = { height: 8, width: 8, patch: 4, mean: [0, 0, 0], std: [1, 1, 1] } as const;
  assertThrows(
    () => patchifyBytes(placeholder([2, 50], "u32"), options),
    RangeError,
    "images must be u32[batch,48]: it is u32[2,50]",
  );
});
