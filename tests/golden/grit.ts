/** Checks of the sampler against orders made by the official GRIT-VLP code. */
import { assert, assertEquals } from "@std/assert";
import type { Draws } from "../../src/grit/draws.ts";
import { checkPermutation } from "../../src/grit/order.ts";
import { GritSampler, type GroupingSearch } from "../../src/grit/sampler.ts";
import type { Features } from "../../src/grit/walk.ts";
import type { NamedTensor } from "../../src/io/dtype.ts";

/** The tensors of one file. */
export type Tensors = ReadonlyMap<string, Pick<NamedTensor, "shape" | "data">>;

/** Sizes of a whole epoch, as the index of the golden files names them. */
export interface EpochConfig {
  readonly batch_size: number;
  readonly search_space: number;
  readonly queue_size: number;
}

function integers(tensors: Tensors, name: string): Int32Array {
  const data = tensors.get(name)?.data;
  if (!(data instanceof Int32Array)) throw new TypeError(`"${name}" the file must have it as I32`);
  return data;
}

function features(tensors: Tensors, name: string): Features {
  const { data, shape } = tensors.get(name) ?? {};
  if (!(data instanceof Float32Array)) throw new TypeError(`"${name}" must be there as F32`);
  return { data, width: shape![1]! };
}

/** The walk over all examples of a file from one start, as positions. */
async function chainFrom(
  start: number,
  tensors: Tensors,
  prefix: string,
  group: GroupingSearch<Features>,
): Promise<Uint32Array> {
  const size = integers(tensors, `${prefix}index`).length;
  const [chain] = await group(features(tensors, `${prefix}image_feat`), features(tensors, `${prefix}text_feat`), {
    permutation: Int32Array.from({ length: size }, (_, i) => i),
    subQueues: Uint32Array.of(size),
    starts: Uint32Array.of(start),
  });
  return Uint32Array.from(chain!);
}

/** `group_*`: every stored order is met exactly. */
export async function checkGroup(tensors: Tensors, group: GroupingSearch<Features>): Promise<void> {
  const index = integers(tensors, "index");
  const names = [...tensors.keys()].filter((name) => name.startsWith("order_start"));
  assert(names.length > 0, "the file holds at least one order");
  for (const name of names) {
    const chain = await chainFrom(Number(name.slice("order_start".length)), tensors, "", group);
    assertEquals(Array.from(chain, (p) => index[p]!), [...integers(tensors, name)], name);
  }
}

/** `grouping_ties`: a permutation, each step as good as the best within 1e-5, and (`lowest`) of equal ones the lowest position. */
export async function checkTies(
  tensors: Tensors,
  starts: Readonly<Record<string, number>>,
  group: GroupingSearch<Features>,
  lowest = true,
): Promise<void> {
  for (const [name, start] of Object.entries(starts)) {
    const prefix = `${name}.`;
    const index = integers(tensors, `${prefix}index`);
    const chain = await chainFrom(start, tensors, prefix, group);
    checkPermutation(chain, index.length, `the chain of "${name}"`);
    checkSteps(chain, features(tensors, `${prefix}image_feat`), features(tensors, `${prefix}text_feat`));
    const order = Array.from(chain, (p) => index[p]!);
    if (lowest) assertEquals(order, [...integers(tensors, `${prefix}order_lowest_index_rule`)], name);
  }
}

function checkSteps(chain: Uint32Array, image: Features, text: Features): void {
  for (let step = 1; step < chain.length; step++) {
    const [from, to] = step % 2 ? [image, text] : [text, image];
    const similarity = (p: number) => {
      let sum = 0;
      for (let k = 0; k < from.width; k++) sum += at(from, chain[step - 1]!, k) * at(to, p, k);
      return sum;
    };
    const best = Math.max(...Array.from(chain.subarray(step), similarity));
    assert(similarity(chain[step]!) >= best - 1e-5, `step ${step} takes the best`);
  }
}

function at({ data, width }: Features, row: number, column: number): number {
  return data[row * width + column]!;
}

/** `epoch_*`: collecting in the stored order with the stored draws gives the next epoch's stored order exactly. */
export async function checkEpoch(
  tensors: Tensors,
  config: EpochConfig,
  group: GroupingSearch<Features>,
): Promise<void> {
  const order = integers(tensors, "feed_order");
  const sizes = {
    examples: order.length,
    miniBatch: config.batch_size,
    subQueue: config.search_space,
    queue: config.queue_size,
  };
  const grit = new GritSampler({ ...sizes, seed: 0 }, storedDraws(tensors, config));
  const plain = new GritSampler({ ...sizes, seed: 0 }, {
    ...storedDraws(tensors, config),
    chunks: (_, count) => Int32Array.from({ length: count }, (_, i) => i),
  });
  for (const [sampler, expected] of [[plain, "G_before_shuffle"], [grit, "G_final"]] as const) {
    await runPass(sampler, features(tensors, "image_feat"), features(tensors, "text_feat"), group);
    sampler.nextPass();
    assertEquals([...sampler.order], [...integers(tensors, expected)], expected);
  }
}

function storedDraws(tensors: Tensors, { search_space, queue_size }: EpochConfig): Draws {
  return {
    order: () => integers(tensors, "feed_order"),
    examples: (_, queue) => integers(tensors, `perm${queue}`),
    starts: (_, queue, sizes) => {
      const first = queue * queue_size / search_space;
      return Uint32Array.from(integers(tensors, "starts").subarray(first, first + sizes.length));
    },
    chunks: () => integers(tensors, "chunk_perm"),
  };
}

/** One pass: features of each mini-batch are copied from rows by example into the feature queues, and grouped when due. */
export async function runPass(
  sampler: GritSampler,
  image: Features,
  text: Features,
  group: GroupingSearch<Features>,
): Promise<void> {
  const { width } = image;
  const queueLength = Math.min(sampler.options.queue, sampler.options.examples);
  const [imageQueue, textQueue] = [image, text].map((): Features => ({
    data: new Float32Array(queueLength * width),
    width,
  }));
  while (sampler.step < sampler.steps) {
    const indices = sampler.batch(sampler.step);
    const row = sampler.collect(indices);
    if (row === undefined) continue;
    indices.forEach((example, i) => {
      copyRow(image, example, imageQueue!, row + i);
      copyRow(text, example, textQueue!, row + i);
    });
    if (sampler.needsGrouping) sampler.accept(await group(imageQueue!, textQueue!, sampler.grouping()));
  }
}

function copyRow(from: Features, row: number, to: Features, toRow: number): void {
  to.data.set(from.data.subarray(row * from.width, (row + 1) * from.width), toRow * to.width);
}
