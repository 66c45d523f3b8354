import { assertAlmostEquals, assertEquals } from "@std/assert";
import { imageContexts, latentCompressionLoss } from "../../src/losses/latent_compression.ts";
import { evaluate, tensor, toHost } from "../../src/program/compile.ts";

const X = 9;

Deno.test("imageContexts() takes the token before each image, and knows those that begin a document or have no place", async () => {
  // Two tokens an image; the second image begins a document, the third one follows another image, the fourth has no place.
  const tokens = tensor(Int32Array.of(1, 2, X, X, 3, X, X, X, X, 4), [2, 5]);
  const positions = tensor(Int32Array.of(0, 1, 2, 3, 4, 0, 1, 2, 3, 4), [2, 5]);
  const states = tensor(Float32Array.from({ length: 20 }, (_, i) => i), [2, 5, 2]);
  const found = imageContexts(states, { tokens, positions }, { imageToken: X, patches: 2, count: 4 });
  const [own, placed, preceded] = (await toHost(await evaluate([found.states, found.placed, found.preceded]))).map((
    x,
  ) => [...x]);
  assertEquals([placed, preceded], [[1, 1, 1, 0], [1, 0, 1, 0]]);
  assertEquals([own!.slice(0, 2), own!.slice(4, 6)], [[2, 3], [12, 13]]);
});

Deno.test("latentCompressionLoss() has the values of InfoNCE by hand", async () => {
  // Cosines of the first context to the images: 1, 0, 0.6; of the third one: 0, 1, 0.8. The fourth image is not there.
  const contexts = tensor(Float32Array.of(2, 0, 7, 7, 0, 3, 1, 0), [4, 2]);
  const images = tensor(Float32Array.of(5, 0, 0, 1, 0.6, 0.8, 1, 0), [4, 2]);
  const mask = (x: number[]) => tensor(Float32Array.from(x), [4]), placed = mask([1, 1, 1, 0]);
  const of = async (preceded: number[]) =>
    (await toHost(
      (await evaluate([
        latentCompressionLoss(contexts, images, { placed, preceded: mask(preceded) }, tensor(Float32Array.of(0.5), [])),
      ]))[0]!,
    ))[0]!;
  const e = Math.exp, first = Math.log(e(2) + e(0) + e(1.2)) - 2, third = Math.log(e(0) + e(2) + e(1.6)) - 1.6;
  assertAlmostEquals(await of([1, 0, 1, 0]), (first + third) / 2, 1e-5);
  assertAlmostEquals(await of([1, 0, 0, 0]), first, 1e-5);
  assertEquals(await of([0, 0, 0, 0]), 0);
});
