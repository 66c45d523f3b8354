/**
 * A character language model: a small transformer learns a text, by default the README. Prints its losses (nats a character) and some
 * text: 2.5 nats after 200 steps, where all letters alike would have 4.5.
 *
 *     deno run -A examples/character_model.ts [STEPS] [FILE]
 */
import * as gs from "../mod.ts";

const text = await Deno.readTextFile(Deno.args[1] ?? "README.md"), steps = Number(Deno.args[0] ?? 200);
const letters = [...new Set(text)].sort(), ids = Uint32Array.from(text, (c) => letters.indexOf(c));
const WIDTH = 64, HEADS = 4, LENGTH = 48, BATCH = 16;

const block = {
  norm1: gs.layerNormSpec(WIDTH),
  qkv: [0, 1, 2].map(() => gs.defaultLinearSpec(WIDTH, WIDTH)),
  out: gs.defaultLinearSpec(WIDTH, WIDTH),
  norm2: gs.layerNormSpec(WIDTH),
  up: gs.defaultLinearSpec(WIDTH, 4 * WIDTH),
  down: gs.defaultLinearSpec(4 * WIDTH, WIDTH),
};
const spec = {
  letters: new gs.Spec([letters.length, WIDTH], { normal: 0.1 }),
  places: new gs.Spec([LENGTH, WIDTH], { normal: 0.1 }),
  blocks: [block, block],
  norm: gs.layerNormSpec(WIDTH),
  head: gs.defaultLinearSpec(WIDTH, letters.length),
};
type Params = gs.ParametersOf<typeof spec>;

const normal = ({ weight, bias }: gs.Affine, x: gs.Tensor): gs.Tensor => gs.layerNorm(x, weight, bias, 1e-5);

/** Logits [B, T, letters] of the letters that follow ids [B, T]. */
function predict(p: Params, ids: gs.Tensor): gs.Tensor {
  let x = gs.add(gs.gather(p.letters, ids), gs.gather(p.places, gs.iota([ids.shape[1]!], 0)));
  for (const { norm1, qkv, out, norm2, up, down } of p.blocks) {
    const [q, k, v] = qkv.map((p) => gs.linear(p, normal(norm1, x))) as [gs.Tensor, gs.Tensor, gs.Tensor];
    x = gs.add(x, gs.linear(out, gs.attention(q, k, v, { heads: HEADS, causal: true })));
    x = gs.add(x, gs.linear(down, gs.gelu(gs.linear(up, normal(norm2, x)))));
  }
  return gs.linear(p.head, normal(p.norm, x));
}

const random = new gs.Random(1), shape = [BATCH, LENGTH];
const next = () => {
  const starts = Array.from({ length: BATCH }, () => random.below(ids.length - LENGTH - 1));
  const rows = (shift: number): number[] => starts.flatMap((at) => [...ids.subarray(at + shift, at + shift + LENGTH)]);
  const input = { ids: gs.tensor(rows(0), shape, "u32"), labels: gs.tensor(rows(1), [BATCH * LENGTH], "i32") };
  return Promise.resolve({ input, examples: BATCH, label: "text", epoch: 0 });
};
const { loss, params } = await gs.train({
  spec,
  input: { ids: { shape, dtype: "u32" }, labels: { shape: [BATCH * LENGTH], dtype: "i32" } },
  loss: (p, _, { ids, labels }) => ({ loss: gs.mean(gs.crossEntropy(gs.flatten(predict(p, ids), 0, 1), labels)[0]) }),
  data: { next },
}, { steps, learningRate: gs.warmup(20, gs.constantSchedule(3e-3)), seed: 1, logEvery: 50 });
console.log(JSON.stringify({ loss }));

const follow = gs.compile((p: Params, ids: gs.Tensor, seed: gs.Tensor) =>
  gs.categorical(gs.randomKey(seed), predict(p, ids))
);
let written = text.slice(0, LENGTH);
for (let i = 0; i < 60; i++) {
  const last = gs.tensor(Uint32Array.from(written.slice(-LENGTH), (c) => letters.indexOf(c)), [1, LENGTH]);
  written += letters[(await gs.toHost(await follow(params, last, gs.tensor([1, i], [2], "u32")))).at(-1)!];
}
console.log(written);
