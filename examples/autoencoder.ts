/**
 * A variational autoencoder (Kingma and Welling 2014) of pictures of a disk at any place: 64 pixels, 2 latent numbers. Prints the bound of
 * its log-likelihood as a loss, nats a picture: 8.8 after 600 steps.
 *
 *     deno run -A examples/autoencoder.ts [STEPS]
 */
import * as gs from "../mod.ts";

const SIDE = 8, PIXELS = SIDE * SIDE, LATENT = 2, HIDDEN = 64, BATCH = 64, steps = Number(Deno.args[0] ?? 600);

const spec = {
  encode: { hidden: gs.defaultLinearSpec(PIXELS, HIDDEN), out: gs.defaultLinearSpec(HIDDEN, 2 * LATENT) },
  decode: { hidden: gs.defaultLinearSpec(LATENT, HIDDEN), out: gs.defaultLinearSpec(HIDDEN, PIXELS) },
};
type Params = gs.ParametersOf<typeof spec>;

const network = ({ hidden, out }: Params["encode"], x: gs.Tensor): gs.Tensor =>
  gs.linear(out, gs.tanh(gs.linear(hidden, x)));

/** The negative evidence lower bound of pictures [N, 64] of zeros and ones. */
function bound(p: Params, x: gs.Tensor, key: gs.Key): { loss: gs.Tensor; divergence: gs.Tensor } {
  const code = network(p.encode, x), mean = gs.slice(code, 1, 0, LATENT);
  const logVariance = gs.slice(code, 1, LATENT, 2 * LATENT), deviation = gs.exp(gs.multiply(logVariance, 0.5));
  const z = gs.normal(key, mean.shape, { mean, deviation }); // a draw through which gradients flow
  const logits = network(p.decode, z), ofRows = { axes: [1] };
  const missed = gs.sum(gs.subtract(gs.softplus(logits), gs.multiply(logits, x)), ofRows); // cross-entropy of the pixels
  const spread = gs.subtract(gs.add(gs.square(mean), gs.exp(logVariance)), gs.add(logVariance, 1));
  const divergence = gs.multiply(gs.sum(spread, ofRows), 0.5); // from the normal distribution
  return { loss: gs.mean(gs.add(missed, divergence)), divergence: gs.mean(divergence) };
}

function draw(random: gs.Random): gs.Tensor {
  return gs.tensor(Array.from({ length: BATCH }, () => {
    const [u, v] = [random.uniform(1, SIDE - 2), random.uniform(1, SIDE - 2)];
    return Array.from({ length: PIXELS }, (_, i) => Math.hypot(i % SIDE - u, Math.floor(i / SIDE) - v) < 1.8 ? 1 : 0);
  }));
}

const random = new gs.Random(1);
const { loss } = await gs.train({
  spec,
  input: { x: { shape: [BATCH, PIXELS], dtype: "f32" } },
  loss(p, _, { x }, { key }) {
    const { loss, divergence } = bound(p, x, key);
    return { loss, metrics: { divergence } };
  },
  data: { next: () => Promise.resolve({ input: { x: draw(random) }, examples: BATCH, label: "disks", epoch: 0 }) },
}, { steps, learningRate: gs.constantSchedule(5e-3), seed: 1, logEvery: 100 });
console.log(JSON.stringify({ loss }));
