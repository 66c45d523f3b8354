import { assertAlmostEquals, assertEquals } from "@std/assert";
import { matchWeights, weightedTokenLoss } from "../../src/losses/weak_pairs.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { randomTensor } from "../testing/reference.ts";
import { valuesOf } from "../recipes/squares.ts";

Deno.test("matchWeights() is 1 before its epoch and the probability of a match from it on", async () => {
  const logits = tensor([0, 0, 0, Math.log(3), Math.log(4), 0], [3, 2]); // 1/2, 3/4, 1/5
  const at = async (epoch: number) =>
    (await valuesOf((x: Tensor, e: Tensor) => ({ w: matchWeights(x, e, 2) }), [logits, tensor(epoch)])).get("w")!;
  assertEquals([...await at(1)], [1, 1, 1]);
  const trusted = await at(2);
  [0.5, 0.75, 0.2].forEach((p, i) => assertAlmostEquals(trusted[i]!, p, 1e-6));
});

Deno.test("weightedTokenLoss() by hand: equal logits are ln V each, weighted by pair, over the tokens with a label", async () => {
  const labels = tensor(Int32Array.of(1, -100, 0, 3, -100, -100), [2, 3]), weights = tensor([0.5, 2]);
  const loss = await valuesOf(
    (x: Tensor, keys: Tensor) => ({ loss: weightedTokenLoss({ queries: x, keys }, labels, weights) }),
    [tensor(new Float32Array(12), [2, 3, 2]), tensor(new Float32Array(8).fill(1), [4, 2])],
  );
  assertAlmostEquals(loss.get("loss")![0]!, Math.log(4) * (2 * 0.5 + 2) / 3, 1e-6);
});

Deno.test("weightedTokenLoss() is float64's", async () => {
  const [b, l, d, v] = [2, 3, 4, 5], ids = [1, -100, 4, 0, 2, -100], w = [0.25, 0.75];
  const keys = randomTensor([v, d], 4);
  await checkOp(
    (x) =>
      weightedTokenLoss(
        { queries: x, keys: tensor(keys.data as Float32Array, [v, d]) },
        tensor(Int32Array.from(ids), [b, l]),
        tensor(w),
      ),
    [randomTensor([b, l, d], 3)],
    (x) => {
      const logit = (row: number, k: number) =>
        Array.from({ length: d }, (_, i) => x.data[row * d + i]! * keys.data[k * d + i]!).reduce((a, c) => a + c);
      const losses = ids.map((id, row) => {
        if (id < 0) return 0;
        const all = Array.from({ length: v }, (_, k) => logit(row, k)), most = Math.max(...all);
        const lse = most + Math.log(all.reduce((sum, z) => sum + Math.exp(z - most), 0));
        return w[Math.floor(row / l)]! * (lse - all[id]!);
      });
      return [losses.reduce((a, c) => a + c) / 4];
    },
  );
});
