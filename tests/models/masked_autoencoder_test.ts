import { assert, assertEquals } from "@std/assert";
import {
  encodeSeen,
  hidePatches,
  paintPatches,
  pixelDecoderSpec,
  seenCount,
} from "../../src/models/masked_autoencoder.ts";
import { vit, vitSpec } from "../../src/models/vit.ts";
import { initialize } from "../../src/nn/spec.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { randomKey } from "../../src/ops/random.ts";
import { valuesOf } from "../recipes/squares.ts";
import { config as sizes, patches } from "./sizes.ts";

const { vision } = sizes, decoder = { width: 16, depth: 1, heads: 2 };
const spec = { encoder: vitSpec(vision), pixels: pixelDecoderSpec(vision, decoder) };
type Params = ReturnType<typeof initialize<typeof spec>>;
const params = initialize(spec, 1), P = 9;

/** States and painted patches where the first `count` patches of the order are seen. */
async function run(images: Tensor, order: readonly number[], count: number) {
  const places = tensor(Uint32Array.from(order), [1, P]), hidden = tensor(new Float32Array(P), [1, P]);
  const values = await valuesOf((p, x: Tensor, order: Tensor) => {
    const { encoder, pixels } = p as unknown as Params, seen = { order, count, hidden };
    const states = encodeSeen(encoder, x, seen, vision);
    return { states, painted: paintPatches(pixels, states, seen, vision, decoder) };
  }, [params as never, images, places] as [never, Tensor, Tensor]);
  return { states: values.get("states")!, painted: values.get("painted")! };
}

const close = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  a.length === b.length && Array.from(a).every((x, i) => Math.abs(x - b[i]!) < 1e-4);
const rows = (values: Float32Array, width: number, of: readonly number[]) =>
  of.flatMap((i) => [...values.subarray(i * width, (i + 1) * width)]);

Deno.test("encodeSeen() of all patches is the ViT, in any order", async () => {
  const images = patches(1, 3), order = [4, 0, 8, 2, 1, 7, 3, 6, 5];
  const whole = (await valuesOf((p, x: Tensor) => ({ y: vit((p as unknown as Params).encoder, x, vision) }), [
    params as never,
    images,
  ] as [never, Tensor])).get("y")!;
  const { states } = await run(images, order, P);
  assert(close(states, rows(whole, vision.width, [0, ...order.map((i) => i + 1)])));
});

Deno.test("a hidden patch changes nothing, a seen one does; the order of what is seen does not matter to what is painted", async () => {
  const values = patches(1, 3).node.host as Float32Array, order = [4, 0, 8, 2, 1, 7, 3, 6, 5], count = 4;
  const changed = (patch: number) => tensor(values.map((v, i) => Math.floor(i / 48) === patch ? v + 1 : v), [1, P, 48]);
  const plain = await run(patches(1, 3), order, count), other = await run(changed(7), order, count);
  assertEquals([other.states, other.painted], [plain.states, plain.painted]);
  assert(!close((await run(changed(2), order, count)).states, plain.states));
  const turned = await run(patches(1, 3), [2, 8, 4, 0, 5, 6, 1, 3, 7], count);
  assert(
    close(turned.states, rows(plain.states, vision.width, [0, 4, 3, 1, 2])) && close(turned.painted, plain.painted),
  );
});

Deno.test("hidePatches() hides all but the whole part of P (1 - share) patches, others in each image", async () => {
  assertEquals([seenCount(196, 0.75), seenCount(9, 0.75), seenCount(9, 1), seenCount(10, 0.9)], [49, 2, 1, 1]);
  let count = 0;
  const values = await valuesOf((words: Tensor) => {
    const { order, hidden, count: seen } = hidePatches(randomKey(words), 20, P, 0.6);
    count = seen;
    return { order, hidden };
  }, [tensor(Uint32Array.of(1, 2))]);
  const order = values.get("order")! as unknown as Uint32Array,
    hidden = values.get("hidden")!,
    seen = new Set<string>();
  assertEquals(count, 3);
  for (let image = 0; image < 20; image++) {
    const own = [...order.slice(image * P, (image + 1) * P)];
    assertEquals([...own].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    own.forEach((patch, place) => assertEquals(hidden[image * P + patch], place < 3 ? 0 : 1));
    seen.add(own.slice(0, 3).sort().join());
  }
  assert(seen.size > 10, `${seen.size} different choices`);
});
