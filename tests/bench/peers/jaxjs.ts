/**
 * jax-js on the work of bench.ts:
 *
 *     deno run -A tests/bench/peers/jaxjs.ts webgpu|wasm matmul N
 *     deno run -A tests/bench/peers/jaxjs.ts webgpu|wasm block B T D H
 *
 * jax-js consumes its arguments: `.ref` keeps a value for a further use. The package is named in a variable, so that nobody
 * downloads it who does not run this.
 */
import { blockFlop, line, matmulFlop, measure, uniform } from "../measure.ts";

const VERSION = "0.1.25";
const [backend = "webgpu", work = "matmul", ...sizes] = Deno.args;
const name = `npm:@jax-js/jax@${VERSION}`;
const { defaultDevice, init, jit, nn, numpy: np, valueAndGrad } = await import(name);
// deno-lint-ignore no-explicit-any
type Value = any;

await init();
defaultDevice(backend);

const random = (shape: number[], scale = 1): Value =>
  np.array(uniform(shape.reduce((a, b) => a * b, 1), scale)).reshape(shape);
const filled = (length: number, value: number): Value => np.array(new Float32Array(length).fill(value));

function matmul(n: number): () => Promise<void> {
  const a = random([n, n]), b = random([n, n]);
  return async () => {
    const product = np.matmul(a.ref, b.ref);
    await product.blockUntilReady();
    product.dispose();
  };
}

function layerNorm(x: Value, { scale, shift }: Value): Value {
  const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
  const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
  return centred.mul(np.reciprocal(np.sqrt(variance.add(1e-6)))).mul(scale).add(shift);
}

function linear(x: Value, { weight, bias }: Value): Value {
  return np.matmul(x, weight).add(bias);
}

/** The sum of weights times the output of a ViT block on x [B * T, D]. */
function weightedBlock(B: number, T: number, D: number, H: number): (args: Value, weights: Value) => Value {
  return ({ x, p }, weights) => {
    const qkv = linear(layerNorm(x.ref, p.norm1), p.qkv).reshape([B, T, 3, H, D / H]).transpose([2, 0, 3, 1, 4]);
    const [q, k, v] = np.split(qkv, 3, 0).map((part: Value) => part.reshape([B * H, T, D / H]));
    const scores = np.matmul(q, k.transpose([0, 2, 1])).mul(1 / Math.sqrt(D / H));
    const mixed = np.matmul(nn.softmax(scores, -1), v).reshape([B, H, T, D / H]).transpose([0, 2, 1, 3]);
    const middle = x.add(linear(mixed.reshape([B * T, D]), p.proj));
    const hidden = nn.gelu(linear(layerNorm(middle.ref, p.norm2), p.fc1), { approximate: false });
    return np.sum(middle.add(linear(hidden, p.fc2)).mul(weights));
  };
}

function tensors(tree: Value): Value[] {
  return tree.dispose ? [tree] : Object.values(tree).flatMap(tensors);
}

function retained(tree: Value): Value {
  return tree.dispose ? tree.ref : Object.fromEntries(Object.entries(tree).map(([k, v]) => [k, retained(v)]));
}

function block(B: number, T: number, D: number, H: number): () => Promise<void> {
  const norm = (): Value => ({ scale: filled(D, 1), shift: filled(D, 0) });
  const map = (from: number, to: number): Value => ({ weight: random([from, to], 0.034), bias: filled(to, 0) });
  const p = {
    norm1: norm(),
    qkv: map(D, 3 * D),
    proj: map(D, D),
    norm2: norm(),
    fc1: map(D, 4 * D),
    fc2: map(4 * D, D),
  };
  const args = { x: random([B * T, D]), p }, weights = random([B * T, D]);
  const gradients = jit(valueAndGrad(weightedBlock(B, T, D, H)));
  return async () => {
    const [value, grads] = gradients(retained(args), weights.ref);
    for (const g of [value, ...tensors(grads)]) {
      await g.blockUntilReady();
      g.dispose();
    }
  };
}

const numbers = sizes.map(Number) as [number, number, number, number];
const [flop, run] = work === "matmul"
  ? [matmulFlop(numbers[0]), matmul(numbers[0])]
  : [blockFlop(...(numbers.slice(0, 3) as [number, number, number])), block(...numbers)];
console.log(JSON.stringify(line(`jax-js ${VERSION}`, backend, [work, ...sizes].join(" "), flop, await measure(run))));
Deno.exit(0);
