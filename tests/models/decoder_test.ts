import { assertAlmostEquals, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { nextTokenLoss } from "../../src/losses/next_token.ts";
import { type Decoder, decoderSpec, decoderStates, embedTokens } from "../../src/models/decoder.ts";
import type { DecoderBatch } from "../../src/data/sequences/decoder_batch.ts";
import { type DecoderConfig, decoderConfigs, swigluWidth } from "../../src/models/decoder_config.ts";
import { countParameters, initialize, specEntries } from "../../src/nn/spec.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import { entries, leaves, type Tree } from "../../src/program/tree.ts";
import { assertClose, randomSource } from "../testing/reference.ts";
import { plainLogits, plainLogSumExp, plainRows, plainStates, valuesOf } from "./plain_decoder.ts";

const base: DecoderConfig = { vocabulary: 23, width: 12, layers: 2, heads: 2, hidden: 20, maxPositions: 16 };
const variants: Readonly<Record<string, DecoderConfig>> = {
  "LayerNorm with bias": base,
  "LayerNorm without bias, normed queries and keys": { ...base, normBias: false, qkNorm: true, rotaryBase: 100 },
  "RMSNorm, a tied head, three heads": { ...base, norm: "rms", tied: true, heads: 3, eps: 1e-3 },
};

/** Parameters none of which is 0 or 1. */
function parameters(config: DecoderConfig, seed = 3): Decoder {
  const params = initialize(decoderSpec(config), seed), random = randomSource(seed);
  for (const t of leaves(params as Tree)) t.node.host = t.node.host!.map((x) => x + 0.2 * random()) as Float32Array;
  return params;
}

/** Documents of random tokens in rows. */
function pack(rows: readonly (readonly number[])[], length: number, config: DecoderConfig, seed = 9): DecoderBatch {
  const random = randomSource(seed), shape = [rows.length, length];
  const places = rows.map((lengths) => {
    const row = lengths.flatMap((n, document) =>
      Array.from({ length: n }, (_, at) => ({ document, at, last: at === n - 1 }))
    );
    return [...row, ...Array.from({ length: length - row.length }, () => ({ document: -1, at: 0, last: true }))];
  }).flat();
  const i32 = (values: number[]) => tensor(Int32Array.from(values), shape);
  return {
    tokens: i32(places.map(() => Math.floor(random() * config.vocabulary))),
    documents: i32(places.map(({ document }) => document)),
    positions: i32(places.map(({ at }) => at)),
    lossMask: tensor(Float32Array.from(places, ({ last }) => last ? 0 : 0.5 + random()), shape),
  };
}

/** States, means of the loss, and the gradients of cross-entropy + 0.01 z. */
async function run(p: Decoder, batch: DecoderBatch, config: DecoderConfig, remat = false) {
  const program = compile((p: Decoder & Tree, batch: DecoderBatch) => {
    const loss = (p: Decoder) => {
      const states = decoderStates(p, embedTokens(p, batch.tokens), batch, { config, remat });
      const { crossEntropy, z } = nextTokenLoss(p, states, batch);
      return add(crossEntropy, multiply(z, 0.01));
    };
    const [value, grads] = valueAndGrad(loss)(p),
      states = decoderStates(p, embedTokens(p, batch.tokens), batch, { config });
    return { states, value, means: nextTokenLoss(p, states, batch), grads: grads as Tree };
  });
  const found = entries(await program(p, batch)), values = await toHost(found.map(([, t]) => t)) as Float32Array[];
  program.destroy();
  return new Map(found.map(([name], i) => [name, values[i]!]));
}

const ROWS = [[5, 1, 3], [9, 2], [4]], LENGTH = 12;

for (const [name, config] of Object.entries(variants)) {
  Deno.test(`decoderStates() and nextTokenLoss() of packed documents: ${name}`, async () => {
    const p = parameters(config), values = valuesOf(p as Tree), batch = pack(ROWS, LENGTH, config);
    const [tokens, weights] = [batch.tokens.node.host!, batch.lossMask.node.host!];
    const found = await run(p, batch, config), states = found.get("states")!;
    let entropy = 0, z = 0, count = 0;
    for (const [row, lengths] of ROWS.entries()) {
      let at = row * LENGTH;
      for (const length of lengths) {
        const own = Array.from(tokens.slice(at, at + length)), table = values.get("tok_embeddings.weight")!;
        const expected = plainStates(values, plainRows(table, config.width, own), config);
        assertClose(states.slice(at * config.width, (at + length) * config.width), expected.flat());
        plainLogits(values, expected, config).forEach((logits, i) => {
          const weight = weights[at + i]!, lse = plainLogSumExp(logits);
          if (!weight) return;
          entropy += weight * (lse - logits[own[i + 1]!]!), z += weight * lse ** 2, count += weight;
        });
        at += length;
      }
    }
    assertAlmostEquals(found.get("means.tokens")![0]!, count, 1e-4);
    assertAlmostEquals(found.get("means.crossEntropy")![0]!, entropy / count, 2e-5 * entropy / count);
    assertAlmostEquals(found.get("means.z")![0]!, z / count, 2e-5 * z / count);
  });
}

Deno.test("the gradient of packed rows is that of their documents each in a row of its own, padded", async () => {
  const config = variants["LayerNorm without bias, normed queries and keys"]!, p = parameters(config);
  const packed = pack(ROWS, LENGTH, config), alone = unpacked(packed, ROWS, LENGTH);
  const [together, apart] = [await run(p, packed, config), await run(p, alone, config)];
  const names = [...together.keys()].filter((name) => name.startsWith("grads.") || name.startsWith("means."));
  assertEquals(names.length, specEntries(decoderSpec(config)).length + 3);
  for (const name of names) assertClose(together.get(name)!, apart.get(name)!);
});

/** Each document at the start of a row. */
function unpacked(batch: DecoderBatch, rows: readonly (readonly number[])[], length: number): DecoderBatch {
  const starts = rows.flatMap((lengths, row) =>
    lengths.map((n, i) => ({ n, at: row * length + lengths.slice(0, i).reduce((a, b) => a + b, 0) }))
  );
  const shape = [starts.length, length];
  const moved = (name: "tokens" | "positions" | "lossMask", empty: number) => {
    const host = batch[name]!.node.host!;
    return starts.flatMap(({ n, at }) => Array.from({ length }, (_, t) => t < n ? host[at + t]! : empty));
  };
  return {
    tokens: tensor(Int32Array.from(moved("tokens", 1)), shape),
    documents: tensor(
      Int32Array.from(starts.flatMap(({ n }) => Array.from({ length }, (_, t) => t < n ? 0 : -1))),
      shape,
    ),
    positions: tensor(Int32Array.from(moved("positions", 0)), shape),
    lossMask: tensor(Float32Array.from(moved("lossMask", 0)), shape),
  };
}

Deno.test("decoderStates() with intermediates computed again has the same gradients, bit for bit", async () => {
  const p = parameters(base), batch = pack(ROWS, LENGTH, base);
  const [kept, again] = [await run(p, batch, base), await run(p, batch, base, true)];
  for (const [name, values] of kept) assertEquals(again.get(name), values, name);
});

Deno.test("nextTokenLoss() where nothing counts is 0", async () => {
  const batch = pack([[1, 1], [1]], 3, base), found = await run(parameters(base), batch, base);
  assertEquals([...found.keys()].filter((name) => name.startsWith("means.")).map((name) => found.get(name)![0]), [
    0,
    0,
    0,
  ]);
});

Deno.test("the sizes of the paper have its numbers of parameters", () => {
  assertEquals([12, 512, 2048].map(swigluWidth), [256, 1536, 5632]);
  const count = (vocabulary: number, width: number, layers: number, hidden: number): number =>
    2 * vocabulary * width + layers * (4 * width * width + 3 * width * hidden + 4 * width) + width;
  const of = (name: keyof typeof decoderConfigs): number => countParameters(decoderSpec(decoderConfigs[name]));
  assertEquals(of("79m"), count(50432, 512, 8, 1536));
  assertEquals(of("1.4b"), count(50432, 2048, 24, 5632));
  assertEquals([of("79m"), of("1.4b")], [78_922_240, 1_439_893_504]);
  assertEquals(of("tiny"), count(512, 64, 2, 192));
});
