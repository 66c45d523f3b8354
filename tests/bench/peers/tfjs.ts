/**
 * TensorFlow.js on the work of bench.ts:
 *
 *     deno run -A tests/bench/peers/tfjs.ts webgpu|wasm matmul N
 *     deno run -A tests/bench/peers/tfjs.ts webgpu|wasm block B T D H
 *
 * The packages are named in variables, so that nobody downloads them who does not run this.
 */
import { blockFlop, line, matmulFlop, measure } from "../measure.ts";

const VERSION = "4.22.0";
const [backend = "webgpu", work = "matmul", ...sizes] = Deno.args;
const core = `npm:@tensorflow/tfjs@${VERSION}`, plugin = `npm:@tensorflow/tfjs-backend-${backend}@${VERSION}`;
const tf = await import(core);
await import(plugin);
// deno-lint-ignore no-explicit-any
type Value = any;

await tf.setBackend(backend);
await tf.ready();

function matmul(n: number): () => Promise<void> {
  const a = tf.randomUniform([n, n], -1, 1), b = tf.randomUniform([n, n], -1, 1);
  return async () => {
    const product = tf.matMul(a, b);
    await product.data();
    product.dispose();
  };
}

function layerNorm(x: Value, scale: Value, shift: Value): Value {
  const { mean, variance } = tf.moments(x, -1, true);
  return x.sub(mean).mul(variance.add(1e-6).rsqrt()).mul(scale).add(shift);
}

function gelu(x: Value): Value {
  return x.mul(tf.erf(x.mul(Math.SQRT1_2)).add(1)).mul(0.5);
}

/** The sum of weights times the output of a ViT block on x [B * T, D]. */
function weightedBlock(B: number, T: number, D: number, H: number): (...args: Value[]) => Value {
  const heads = (x: Value): Value => tf.transpose(tf.reshape(x, [B, T, H, D / H]), [0, 2, 1, 3]);
  return (x, weights, n1w, n1b, qkvW, qkvB, projW, projB, n2w, n2b, fc1W, fc1B, fc2W, fc2B) => {
    const qkv = tf.matMul(layerNorm(x, n1w, n1b), qkvW).add(qkvB);
    const [q, k, v] = tf.split(qkv, 3, 1).map(heads);
    const scores = tf.matMul(q, k, false, true).mul(1 / Math.sqrt(D / H));
    const mixed = tf.reshape(tf.transpose(tf.matMul(tf.softmax(scores), v), [0, 2, 1, 3]), [B * T, D]);
    const middle = x.add(tf.matMul(mixed, projW).add(projB));
    const hidden = gelu(tf.matMul(layerNorm(middle, n2w, n2b), fc1W).add(fc1B));
    return middle.add(tf.matMul(hidden, fc2W).add(fc2B)).mul(weights).sum();
  };
}

function block(B: number, T: number, D: number, H: number): () => Promise<void> {
  const matrix = (rows: number, columns: number): Value => tf.randomNormal([rows, columns], 0, 0.02);
  const affine = [tf.ones([D]), tf.zeros([D])];
  const params = [...affine, matrix(D, 3 * D), tf.zeros([3 * D]), matrix(D, D), tf.zeros([D])];
  params.push(tf.ones([D]), tf.zeros([D]), matrix(D, 4 * D), tf.zeros([4 * D]), matrix(4 * D, D), tf.zeros([D]));
  const x = tf.randomNormal([B * T, D]), weights = tf.randomNormal([B * T, D]), f = weightedBlock(B, T, D, H);
  const gradients = tf.valueAndGrads((x: Value, ...params: Value[]) => f(x, weights, ...params));
  return async () => {
    const { value, grads } = gradients([x, ...params]);
    await Promise.all(grads.map((g: Value) => g.data()));
    tf.dispose([value, grads]);
  };
}

const numbers = sizes.map(Number) as [number, number, number, number];
const [flop, run] = work === "matmul"
  ? [matmulFlop(numbers[0]), matmul(numbers[0])]
  : [blockFlop(...(numbers.slice(0, 3) as [number, number, number])), block(...numbers)];
console.log(JSON.stringify(line(`tfjs ${VERSION}`, backend, [work, ...sizes].join(" "), flop, await measure(run))));
Deno.exit(0);
