import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { configs } from "../../src/models/config.ts";
import { countParameters, specEntries } from "../../src/nn/spec.ts";
import { tensor } from "../../src/program/compile.ts";
import { siglip, sigmoidLoss } from "../../src/recipes/siglip.ts";
import { checkOp } from "../testing/check_op.ts";
import { randomTensor } from "../testing/reference.ts";

const n = 5, d = 3, ids = [0, 1, 1, 2, 3];

for (const [logScale, bias] of [[Math.log(10), -10], [0.3, 2], [4, -80]] as const) {
  Deno.test(`sigmoidLoss() agrees with algorithm 1 in float64, t = e^${logScale.toFixed(1)}, b = ${bias}`, async () => {
    await checkOp(
      (image, text, scale, shift) => sigmoidLoss({ image, text }, scale, shift, tensor(Uint32Array.from(ids))),
      [
        randomTensor([n, d], 1),
        randomTensor([n, d], 2),
        { data: Float32Array.of(logScale), shape: [] },
        { data: Float32Array.of(bias), shape: [] },
      ],
      (image, text, scale, shift) => {
        let loss = 0;
        for (let i = 0; i < n; i++) {
          for (let j = 0; j < n; j++) {
            let cosine = 0;
            for (let k = 0; k < d; k++) cosine += image.data[i * d + k]! * text.data[j * d + k]!;
            const z = (ids[i] === ids[j] ? 1 : -1) * (Math.exp(scale.data[0]!) * cosine + shift.data[0]!);
            loss += z > 0 ? Math.log1p(Math.exp(-z)) : Math.log1p(Math.exp(z)) - z;
          }
        }
        return [loss / n];
      },
      // Features have length 1 and t stays below some hundreds.
      {
        edges: {
          domain: (value, input) => input === 2 ? Math.max(-3, Math.min(3, value)) : input < 2 ? value / 1e4 : value,
        },
      },
    );
  });
}

Deno.test("siglip has the encoders up to the fusion and no head; at the start it says what its settings say", () => {
  const setup = {
    config: configs.tiny,
    batch: 4,
    textLength: 12,
    view: { resolution: 64, transform: "train" },
  } as const;
  const { spec, input, model } = siglip.objective(setup, { scale: 10, bias: -10 });
  const names = specEntries(spec).map(([name]) => name);
  assert(!names.some((name) => /crossattention|itm_head|cls\./.test(name)));
  assertEquals(
    names.filter((name) => /layer\.\d+\.output\.dense\.weight/.test(name)).length,
    configs.tiny.text.fusionLayer,
  );
  assert(countParameters(spec) > 1e5);
  assertEquals(Object.keys(input), ["images", "ids", "mask", "imageIds"]);
  assertEquals(model.match, undefined);
  const [scale, bias] = [spec.logit_scale.init, spec.logit_bias.init] as { constant: number }[];
  assertAlmostEquals(Math.exp(scale!.constant), 10, 1e-12);
  assertEquals(bias!.constant, -10);
});
