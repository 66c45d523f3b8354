import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  fans,
  type Init,
  type Initializer,
  kaimingNormal,
  kaimingUniform,
  lecunNormal,
  lecunUniform,
  xavierNormal,
  xavierUniform,
} from "../../src/nn/init.ts";
import { initialize, initialValues, Spec } from "../../src/nn/spec.ts";
import { conv2dSpec, linearSpec } from "../../src/nn/layers.ts";
import { toHost } from "../../src/program/compile.ts";
import { distance, moments, normalShare } from "../testing/normal.ts";
import { assertRefused } from "../testing/refusals.ts";

const matrix = [96, 64], conv = [32, 8, 3, 5]; // fans 64 and 96; 120 and 480
const values = (shape: readonly number[], init: Init | Initializer): Float32Array =>
  initialValues(new Spec(shape, init), 3, 1);

Deno.test("fans() counts a matrix and a convolution as PyTorch does", () => {
  assertEquals(fans(matrix), { in: 64, out: 96 });
  assertEquals(fans(conv), { in: 120, out: 480 });
  assertEquals(conv2dSpec(8, 32, [3, 5], 2).weight.shape, [32, 4, 3, 5]);
  assertEquals(fans([32, 4, 3, 5]), { in: 60, out: 480 });
});

/** Initialisers and the deviation that PyTorch's have (JAX's, the truncated ones), for a matrix and a convolution. */
const cases: [name: string, init: Initializer, deviation: (fan: { in: number; out: number }) => number][] = [
  ["xavierUniform", xavierUniform(), (fan) => Math.sqrt(2 / (fan.in + fan.out))],
  ["xavierNormal", xavierNormal({ gain: 5 / 3 }), (fan) => 5 / 3 * Math.sqrt(2 / (fan.in + fan.out))],
  ["kaimingUniform", kaimingUniform(), (fan) => Math.sqrt(2 / fan.in)],
  ["kaimingUniform", kaimingUniform({ fan: "out", slope: 0.2 }), (fan) => Math.sqrt(2 / 1.04 / fan.out)],
  ["kaimingNormal", kaimingNormal(), (fan) => Math.sqrt(2 / fan.in)],
  ["lecunUniform", lecunUniform({ gain: 2 }), (fan) => 2 / Math.sqrt(fan.in)],
  ["lecunNormal", lecunNormal({ truncated: true }), (fan) => 1 / Math.sqrt(fan.in)],
];

for (const [name, init, deviation] of cases) {
  Deno.test(`${name}() has the deviation ${deviation.toString().split("=>")[1]!.trim()} and its distribution`, () => {
    for (const shape of [matrix, conv]) {
      const of = deviation(fans(shape)), own = init(shape), x = values(shape, init), { mean, variance } = moments(x);
      assert(Math.abs(mean) < 3.3 * of / Math.sqrt(x.length), `mean ${mean}`);
      assert(Math.abs(variance / of ** 2 - 1) < 3.3 * Math.sqrt(2 / x.length), `variance ${variance}, not ${of ** 2}`);
      if (!("normal" in own)) {
        const bound = Math.sqrt(3) * of;
        assert(distance(x, (v) => (v + bound) / (2 * bound)) < 1.95);
        assert(x.every((v) => Math.abs(v) <= bound));
      } else if (!own.truncated) assert(distance(x, (v) => normalShare(v / of)) < 1.95);
      else assert(x.every((v) => Math.abs(v) <= 2 * of / 0.8796));
    }
  });
}

Deno.test("initialisers refuse what stands in the place of their options, and names that they do not know", async () => {
  for (const make of [xavierUniform, xavierNormal, kaimingUniform, kaimingNormal, lecunUniform, lecunNormal]) {
    const known = make.name.startsWith("kaiming") ? "fan, slope" : "gain", [option] = known.split(",");
    const record = `Cannot apply ${make.name}: options must be a record, as in`;
    await assertRefused(
      [() => make(2 as never), `${record} { ${option}: 2 }: they are 2`, TypeError],
      [() => make([4, 3] as never), record, TypeError],
      [() => make({ gian: 2 } as never), `options must be among ${known}`, TypeError],
    );
  }
});

/** The products of all rows with one another. */
function products(x: Float32Array, rows: number, at: (row: number, column: number) => number): number[][] {
  const columns = x.length / rows, each = Array.from({ length: rows }, (_, i) => i);
  return each.map((a) =>
    each.map((b) => Array.from({ length: columns }, (_, c) => x[at(a, c)]! * x[at(b, c)]!).reduce((p, q) => p + q))
  );
}

Deno.test("orthogonal weights have rows or columns of one length at right angles", () => {
  for (const [shape, gain] of [[[5, 12], 1], [[12, 5], 2], [[7, 7], 1], [[4, 2, 3], 0.5], [[1, 3], 1]] as const) {
    const x = values(shape, { orthogonal: gain }),
      rows = shape[0],
      columns = x.length / rows,
      few = Math.min(rows, columns);
    const found = products(x, few, rows <= columns ? (i, c) => i * columns + c : (i, c) => c * columns + i);
    found.forEach((row, a) => row.forEach((p, b) => assertAlmostEquals(p, a === b ? gain ** 2 : 0, 2e-6)));
  }
  // Uniform among orthogonal matrices: of 2 x 2 ones, half are rotations, and their angle is any.
  const all = Array.from({ length: 600 }, (_, i) => initialValues(new Spec([2, 2], { orthogonal: 1 }), i, 0));
  const turns = all.filter(([a, b, c, d]) => a! * d! - b! * c! > 0).length;
  assert(Math.abs(turns - 300) < 41, `${turns} of 600 are rotations`);
  assert(distance(all.map(([a, b]) => Math.atan2(b!, a!)), (v) => (v + Math.PI) / (2 * Math.PI)) < 1.95);
});

Deno.test("initialisers work in specs; what they cannot start is said", async () => {
  const spec = { layer: linearSpec(6, 4, xavierNormal()), square: new Spec([3, 3], { orthogonal: 1 }) };
  const one = initialize(spec, 1), again = initialize(spec, 1), other = initialize(spec, 2);
  assertEquals(await toHost(one.layer.weight), await toHost(again.layer.weight));
  assert(String(await toHost(one.square)) !== String(await toHost(other.square)));
  assertEquals([...await toHost(one.layer.bias)], [0, 0, 0, 0]);
  await assertRefused(
    [
      () => new Spec([4], kaimingNormal()),
      "Cannot count the fans of a parameter: it must have at least 2 axes: its shape is [4]",
    ],
    [() => values([4], { orthogonal: 1 }), "Cannot start an orthogonal parameter: it must have at least 2 axes"],
  );
});
