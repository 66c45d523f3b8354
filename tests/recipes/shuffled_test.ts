import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Collate } from "../../src/data/collate.ts";
import type { Dataset, Example } from "../../src/data/dataset.ts";
import { Loader } from "../../src/data/loader.ts";
import type { RecipeObjective } from "../../src/recipes/recipe.ts";
import { shuffled } from "../../src/recipes/shuffled.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { NoExtra } from "../../src/train/task.ts";

/** An example without images that knows its index. */
interface Numbered extends Example {
  readonly index: number;
}

type Batch = { readonly x: Tensor };

const dataset: Dataset<Numbered> = {
  name: "numbers",
  length: 7,
  skipped: [],
  example: (index) => ({ images: [], index }),
};

const collate: Collate<Numbered, Batch> = {
  views: [],
  shapes: (count) => ({ x: { shape: [count], dtype: "f32" } }),
  collate: (examples) => ({ x: tensor(examples.map(({ index }) => index)) }),
};

const objective = { spec: {}, collate, input: collate.shapes(2), loss: () => undefined } as unknown as RecipeObjective<
  Numbered,
  Record<string, never>,
  NoExtra,
  Batch
>;

const at = { step: 0, params: () => Promise.reject(new Error("not asked for")) };

/** The examples of the next mini-batches. */
async function take({ data }: ReturnType<typeof stream>, count: number): Promise<string[]> {
  const rows: string[] = [];
  for (let i = 0; i < count; i++) {
    const { epoch, input, examples } = (await data.next(at))!;
    rows.push(`${epoch}: ${[...input.x.node.host!].join(" ")}`);
    assertEquals(examples, 2);
  }
  return rows;
}

function stream(loader: Loader<Numbered, Batch>, seed = 1, epochs = Infinity) {
  return shuffled(objective, { loader, batch: 2, seed, epochs });
}

Deno.test("shuffled: every epoch has another order without repetition, and goes on from a saved place", async () => {
  await using loader = new Loader(dataset, collate);
  const whole = stream(loader), rows = await take(whole, 9);
  for (let epoch = 0; epoch < 3; epoch++) {
    const own = rows.slice(3 * epoch, 3 * epoch + 3).map((row) => row.split(": "));
    assertEquals(own.map(([number]) => number), Array(3).fill(String(epoch)));
    const examples = own.flatMap(([, indices]) => indices!.split(" "));
    assertEquals(new Set(examples).size, 6);
  }
  assert(rows[0]!.slice(3) !== rows[3]!.slice(3) || rows[1]!.slice(3) !== rows[4]!.slice(3));
  assert((await take(stream(loader, 2), 3)).join() !== rows.slice(0, 3).join(), "the seed changes nothing");
  for (const count of [0, 2, 3, 4]) {
    const first = stream(loader), second = stream(loader);
    await take(first, count);
    second.data.restore!(new Map(Object.entries(first.data.save!())));
    assertEquals(await take(second, 5), rows.slice(count, count + 5));
  }
});

Deno.test("shuffled: ends after its epochs, and refuses sizes and places that make no sense", async () => {
  await using loader = new Loader(dataset, collate);
  const two = stream(loader, 1, 2);
  await take(two, 6);
  assertEquals(await two.data.next(at), undefined);
  assertThrows(() => shuffled(objective, { loader, batch: 8 }), RangeError, '"batch" must be from 1 to its 7 examples');
  const { data } = stream(loader), place = (text: string) => new Map([["place", new TextEncoder().encode(text)]]);
  assertThrows(() => data.restore!(new Map()), SyntaxError, "no place");
  assertThrows(() => data.restore!(place('{"epoch":0,"given":4}')), SyntaxError, "must be an epoch");
  await assertRejects(at.params);
});
