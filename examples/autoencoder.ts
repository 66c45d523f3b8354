/**
 * A variational autoencoder (Kingma and Welling 2014) of pictures of a disk at any place: 64 pixels, 2 latent numbers. Prints the bound of
 * its log-likelihood as a loss, nats a picture: 8.7 after 600 steps.
 *
 *     deno run -A examples/autoencoder.ts [STEPS]
 */
import {
  add,
  defaultLinearSpec,
  exp,
  linear,
  mean,
  multiply,
  type ParametersOf,
  Random,
  slice,
  softplus,
  square,
  subtract,
  sum,
  tanh,
  type Tensor,
  tensor,
  train,
} from "../mod.ts";

const SIDE = 8, PIXELS = SIDE * SIDE, LATENT = 2, HIDDEN = 64, BATCH = 64, steps = Number(Deno.args[0] ?? 600);

const spec = {
  encode: { hidden: defaultLinearSpec(PIXELS, HIDDEN), out: defaultLinearSpec(HIDDEN, 2 * LATENT) },
  decode: { hidden: defaultLinearSpec(LATENT, HIDDEN), out: defaultLinearSpec(HIDDEN, PIXELS) },
};
type Params = ParametersOf<typeof spec>;

const network = ({ hidden, out }: Params["encode"], x: Tensor): Tensor => linear(out, tanh(linear(hidden, x)));

/** The negative evidence lower bound of pictures [N, 64] of zeros and ones, with noise [N, 2] of the normal distribution. */
function bound(p: Params, x: Tensor, noise: Tensor): { loss: Tensor; divergence: Tensor } {
  const code = network(p.encode, x),
    center = slice(code, 1, 0, LATENT),
    logVariance = slice(code, 1, LATENT, 2 * LATENT);
  const z = add(center, multiply(noise, exp(multiply(logVariance, 0.5)))); // a draw through which gradients flow
  const logits = network(p.decode, z), ofRows = { axes: [1] };
  const missed = sum(subtract(softplus(logits), multiply(logits, x)), ofRows); // cross-entropy of the pixels
  const spread = subtract(add(square(center), exp(logVariance)), add(logVariance, 1));
  const divergence = multiply(sum(spread, ofRows), 0.5); // from the normal distribution
  return { loss: mean(add(missed, divergence)), divergence: mean(divergence) };
}

function draw(random: Random): { x: Tensor; noise: Tensor } {
  const pixels = Array.from({ length: BATCH }, () => {
    const [u, v] = [random.uniform(1, SIDE - 2), random.uniform(1, SIDE - 2)];
    return Array.from({ length: PIXELS }, (_, i) => Math.hypot(i % SIDE - u, Math.floor(i / SIDE) - v) < 1.8 ? 1 : 0);
  });
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
  return { x: tensor(pixels), noise: tensor(Float32Array.from({ length: BATCH * LATENT }, normal), [BATCH, LATENT]) };
}

const random = new Random(1);
const { loss } = await train({
  spec,
  input: { x: { shape: [BATCH, PIXELS], dtype: "f32" }, noise: { shape: [BATCH, LATENT], dtype: "f32" } },
  loss(p, _, { x, noise }) {
    const { loss, divergence } = bound(p, x, noise);
    return { loss, metrics: { divergence } };
  },
  data: { next: () => Promise.resolve({ input: draw(random), examples: BATCH, label: "disks", epoch: 0 }) },
}, { steps, learningRate: () => 5e-3, seed: 1, logEvery: 100 });
console.log(JSON.stringify({ loss }));
