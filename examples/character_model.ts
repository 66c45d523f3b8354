/**
 * A character language model: a small transformer learns a text, by default the README. Prints its losses (nats a character) and some
 * text: 2.5 nats after 200 steps, where all letters alike would have 4.5.
 *
 *     deno run -A examples/character_model.ts [STEPS] [FILE]
 */
import {
  add,
  type Affine,
  attention,
  compile,
  crossEntropy,
  defaultLinearSpec,
  gather,
  gelu,
  iota,
  layerNorm,
  layerNormSpec,
  linear,
  mean,
  type ParametersOf,
  Random,
  reshape,
  softmax,
  Spec,
  type Tensor,
  tensor,
  toHost,
  train,
  type Tree,
} from "../mod.ts";

const text = await Deno.readTextFile(Deno.args[1] ?? "README.md");
const letters = [...new Set(text)].sort(), ids = Uint32Array.from(text, (c) => letters.indexOf(c));
const WIDTH = 64, HEADS = 4, LENGTH = 48, BATCH = 16, steps = Number(Deno.args[0] ?? 200);

const block = {
  norm1: layerNormSpec(WIDTH),
  qkv: [0, 1, 2].map(() => defaultLinearSpec(WIDTH, WIDTH)),
  out: defaultLinearSpec(WIDTH, WIDTH),
  norm2: layerNormSpec(WIDTH),
  up: defaultLinearSpec(WIDTH, 4 * WIDTH),
  down: defaultLinearSpec(4 * WIDTH, WIDTH),
};
const spec = {
  letters: new Spec([letters.length, WIDTH], { normal: 0.1 }),
  places: new Spec([LENGTH, WIDTH], { normal: 0.1 }),
  blocks: [block, block],
  norm: layerNormSpec(WIDTH),
  head: defaultLinearSpec(WIDTH, letters.length),
};
type Params = ParametersOf<typeof spec>;

const normal = ({ weight, bias }: Affine, x: Tensor): Tensor => layerNorm(x, weight, bias, 1e-5);

/** Logits [B, T, letters] of the letters that follow ids [B, T]. */
function predict(p: Params, ids: Tensor): Tensor {
  let x = add(gather(p.letters, ids), gather(p.places, iota([ids.shape[1]!], 0)));
  for (const { norm1, qkv, out, norm2, up, down } of p.blocks) {
    const [q, k, v] = qkv.map((p) => linear(p, normal(norm1, x))) as [Tensor, Tensor, Tensor];
    x = add(x, linear(out, attention(q, k, v, { heads: HEADS, causal: true })));
    x = add(x, linear(down, gelu(linear(up, normal(norm2, x)))));
  }
  return linear(p.head, normal(p.norm, x));
}

const random = new Random(1), shape = [BATCH, LENGTH];
const next = () => {
  const starts = Array.from({ length: BATCH }, () => random.below(ids.length - LENGTH - 1));
  const rows = (shift: number): number[] => starts.flatMap((at) => [...ids.subarray(at + shift, at + shift + LENGTH)]);
  const input = { ids: tensor(Uint32Array.from(rows(0)), shape), labels: tensor(Int32Array.from(rows(1))) };
  return Promise.resolve({ input, examples: BATCH, label: "text", epoch: 0 });
};
const { loss, params } = await train({
  spec,
  input: { ids: { shape, dtype: "u32" }, labels: { shape: [BATCH * LENGTH], dtype: "i32" } },
  loss: (p, _, { ids, labels }) => ({
    loss: mean(crossEntropy(reshape(predict(p, ids), [BATCH * LENGTH, letters.length]), labels)[0]),
  }),
  data: { next },
}, { steps, learningRate: (step) => 3e-3 * Math.min(1, (step + 1) / 20), seed: 1, logEvery: 50 });
console.log(JSON.stringify({ loss }));

const likely = compile((p: Tree, ids: Tensor) => softmax(predict(p as Params, ids)));
let written = text.slice(0, LENGTH);
for (let i = 0; i < 60; i++) {
  const last = Uint32Array.from(written.slice(-LENGTH), (c) => letters.indexOf(c));
  const shares = (await toHost(await likely(params as Tree, tensor(last, [1, LENGTH])))).slice(-letters.length);
  let rest = random.uniform();
  written += letters[Math.max(0, shares.findIndex((share) => (rest -= share) < 0))];
}
console.log(written);
