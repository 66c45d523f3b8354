import { assert, assertEquals } from "@std/assert";
import { defaultDevice } from "../../src/gpu/device.ts";
import { dot, outer, tensordot, vdot } from "../../src/ops/dot.ts";
import { cast } from "../../src/ops/elementwise.ts";
import { einsum } from "../../src/ops/einsum.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import { sizeOf, type Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";
import { assertClose, randomSource, randomTensor, testOnEachKind } from "../testing/reference.ts";

/** An equation whose "..." has been written out: labels of each operand and of the result. */
interface Plain {
  readonly terms: readonly string[];
  readonly output: string;
}

/** Writes out "..." by the digits 9, 8, ... from the last axis, and an output that is not there. */
function plain(equation: string, shapes: readonly (readonly number[])[]): Plain {
  const [inputs, output] = equation.split("->") as [string, string?];
  const write = (term: string, axes: number): string => term.replace("...", "0123456789".slice(10 - axes));
  const counts = inputs.split(",").map((term, i) => term.includes(".") ? shapes[i]!.length - (term.length - 3) : 0);
  const terms = inputs.split(",").map((term, i) => write(term, counts[i]!));
  const all = terms.join(""), most = Math.max(...counts);
  const once = [...new Set(all)].filter((x) => /[A-Za-z]/.test(x) && all.indexOf(x) === all.lastIndexOf(x)).sort();
  return { terms, output: write(output ?? `...${once.join("")}`, most) };
}

/** Every index of every label, one after the other: the definition of einsum. */
function bruteForce({ terms, output }: Plain, operands: readonly Values[]): { data: Float64Array; shape: number[] } {
  const lengths = new Map<string, number>();
  terms.forEach((term, i) =>
    [...term].forEach((x, axis) => lengths.set(x, Math.max(lengths.get(x) ?? 1, operands[i]!.shape[axis]!)))
  );
  const labels = [...lengths.keys()], shape = [...output].map((x) => lengths.get(x)!);
  const data = new Float64Array(sizeOf(shape));
  for (let i = 0; i < sizeOf([...lengths.values()]); i++) {
    const index = new Map<string, number>();
    let rest = i;
    for (const x of labels) index.set(x, rest % lengths.get(x)!), rest = Math.floor(rest / lengths.get(x)!);
    const at = (term: string, own: readonly number[]): number =>
      [...term].reduce((at, x, axis) => at * own[axis]! + (own[axis] === 1 ? 0 : index.get(x)!), 0);
    data[at(output, shape)]! += operands.reduce((y, x, k) => y * x.data[at(terms[k]!, x.shape)]!, 1);
  }
  return { data, shape };
}

/** A random equation with shapes: one to three operands, some with "...", with repeated letters, without "->". */
function randomEquation(seed: number): { equation: string; shapes: number[][] } {
  const random = randomSource(seed), below = (n: number): number => Math.floor(random() * n);
  const letters = ["i", "j", "k", "B", "z"], lengths = new Map(letters.map((x) => [x, 1 + below(5)]));
  const dots = random() < 0.4 ? [1 + below(3), 1 + below(3)] : [];
  const operands = Array.from({ length: 1 + below(3) }, () => {
    const count = below(4), own = Array.from({ length: count }, () => letters[below(letters.length)]!);
    const axes = dots.slice(below(dots.length + 1)).map((n) => random() < 0.3 ? 1 : n), cut = below(count + 1);
    return {
      term: [...own.slice(0, cut), ...(axes.length || random() < 0.1 ? ["..."] : []), ...own.slice(cut)].join(""),
      shape: [...own.slice(0, cut).map((x) => lengths.get(x)!), ...axes, ...own.slice(cut).map((x) => lengths.get(x)!)],
    };
  });
  const used = [...new Set(operands.flatMap(({ term }) => [...term.replace("...", "")]))];
  const kept = used.filter(() => random() < 0.6).sort(() => random() - 0.5);
  const cut = below(kept.length + 1), middle = dots.length && random() < 0.8 ? ["..."] : [];
  const output = random() < 0.2 ? "" : `->${[...kept.slice(0, cut), ...middle, ...kept.slice(cut)].join("")}`;
  return { equation: operands.map(({ term }) => term).join(",") + output, shapes: operands.map(({ shape }) => shape) };
}

const toValues = (t: { data: ArrayLike<number>; shape: readonly number[] }): Values => ({
  data: Float64Array.from(t.data),
  shape: t.shape,
});

Deno.test("einsum() of 80 random equations is that of its definition", async () => {
  const seen = { operands: new Set<number>(), ellipsis: 0, implicit: 0, diagonal: 0 };
  for (let seed = 1; seed <= 80; seed++) {
    const { equation, shapes } = randomEquation(seed),
      operands = shapes.map((shape, i) => randomTensor(shape, seed + i));
    const want = bruteForce(plain(equation, shapes), operands.map(toValues));
    const got = einsum(equation, ...operands.map((x) => tensor(x.data, x.shape)));
    const what = `${equation} of ${shapes.map((s) => `[${s}]`).join(" and ")}`;
    assertEquals(got.shape, want.shape, what);
    try {
      assertClose(await toHost(got), want.data, 1e-5, 1e-6);
    } catch (error) {
      throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
    }
    seen.operands.add(shapes.length);
    if (equation.includes("...")) seen.ellipsis++;
    if (!equation.includes("->")) seen.implicit++;
    if (equation.split("->")[0]!.split(",").some((t) => /([A-Za-z]).*\1/.test(t))) seen.diagonal++;
  }
  assertEquals([...seen.operands].sort(), [1, 2, 3]);
  assert(Math.min(seen.ellipsis, seen.implicit, seen.diagonal) >= 8, JSON.stringify(seen));
});

const gradientCases: [equation: string, ...shapes: number[][]][] = [
  ["ij->ji", [3, 4]],
  ["ii->i", [5, 5]],
  ["iji->j", [3, 2, 3]],
  ["ij,jk->ik", [3, 4], [4, 5]],
  ["ij,kj->ki", [3, 4], [5, 4]],
  ["bqhd,bkhd->bhqk", [2, 3, 2, 4], [2, 5, 2, 4]],
  ["bhqk,bkhd->bqhd", [2, 2, 3, 5], [2, 5, 2, 4]],
  ["bi,bi->b", [3, 7], [3, 7]],
  ["i,j->ij", [3], [4]],
  ["...ij,...jk->...ik", [2, 1, 3, 4], [5, 4, 2]],
  ["bi,ijk,bk->bj", [2, 3], [3, 4, 5], [2, 5]],
  [",ij", [], [2, 3]],
  ["ii,ij->", [3, 3], [3, 2]],
];

Deno.test("einsum() has the right gradients", async () => {
  for (const [i, [equation, ...shapes]] of gradientCases.entries()) {
    const inputs = shapes.map((shape, k) => randomTensor(shape, 10 * i + k));
    await checkOp(
      (...x) => einsum(equation, ...x),
      inputs,
      (...x) => bruteForce(plain(equation, shapes), x).data,
      // Products of three large numbers are beyond what differences in float64 tell apart.
      shapes.length < 3 && i % 2 ? {} : { edges: "a product: others of the table are checked at its edges" },
    );
  }
});

/** Names of the kernels of an equation, without variants. */
async function kernels(equation: string, ...shapes: number[][]): Promise<string[]> {
  const program = await compile((...x: Tensor[]) => einsum(equation, ...x)).program(
    ...shapes.map((s) => placeholder(s)),
  );
  return program.plan.steps.map(({ name }) => name.replace(/^matmul [\w ]+/, "matmul"));
}

Deno.test("einsum() of operands that are stored as matrices is one matrix product", async () => {
  const product: [string, number[], number[]][] = [
    ["ij,jk->ik", [3, 4], [4, 5]],
    ["ji,jk->ik", [4, 3], [4, 5]],
    ["ij,kj->ki", [3, 4], [5, 4]],
    ["btd,de->bte", [2, 3, 4], [4, 5]],
    ["bhqd,bhkd->bhqk", [2, 2, 3, 4], [2, 2, 5, 4]],
    ["bijk,jkl->bil", [2, 3, 4, 2], [4, 2, 5]],
    ["...qd,...kd->...qk", [2, 2, 3, 4], [2, 2, 5, 4]],
  ];
  for (const [equation, ...shapes] of product) assertEquals(await kernels(equation, ...shapes), ["matmul"], equation);
  assertEquals(await kernels("i,j->ij", [3], [4]), ["multiply"]);
  assertEquals(await kernels("ij->ij", [3, 4]), []);
});

Deno.test("einsum() takes the diagonal of integers, and of NaN only what is on it", async () => {
  const x = tensor(Int32Array.of(2 ** 30 + 1, 5, 7, 9), [2, 2]);
  assertEquals([...await toHost(einsum("ii->i", x))], [2 ** 30 + 1, 9]);
  assertEquals([...await toHost(einsum("ii", x))], [2 ** 30 + 10]);
  assertEquals([...await toHost(einsum("ii->i", tensor([[1, NaN], [Infinity, 2]])))], [1, 2]);
});

Deno.test("einsum() reads f16 and gives f32", async () => {
  const { f16 } = (await defaultDevice()).profile;
  if (!f16) return;
  const shapes = [[3, 3], [3, 4]], host = shapes.map((shape, i) => randomTensor(shape, i));
  const rounded = host.map((x) => ({ ...x, data: Float32Array.from(x.data, Math.f16round) }));
  const halves = rounded.map((x) => cast(tensor(x.data, x.shape), "f16"));
  for (const equation of ["ij,jk->ik", "ij,jk->", "ij,kl->lkji"]) {
    const y = einsum(equation, ...halves);
    assertEquals(y.dtype, "f32");
    assertClose(await toHost(y), bruteForce(plain(equation, shapes), rounded.map(toValues)).data);
  }
  for (const equation of ["ii->i", "ij->ij", "ij->ji"]) {
    const y = einsum(equation, halves[0]!);
    assertEquals(y.dtype, "f32");
    assertClose(await toHost(y), bruteForce(plain(equation, [[3, 3]]), [toValues(rounded[0]!)]).data);
  }
});

Deno.test("einsum() names the equation, the shapes and what does not fit", async () => {
  const of = (equation: string, ...shapes: number[][]) => () => einsum(equation, ...shapes.map((s) => placeholder(s)));
  await assertRefused(
    [
      of("ij,jk->ik", [2, 3], [4, 5]),
      'Cannot apply einsum "ij,jk->ik" to [2,3] and [4,5]: axes of "j" must be equal: they are 3 and 4',
    ],
    [of("ij,jk", [2, 3]), "the number of operands must be that of the terms, 2: it is 1"],
    [of("", ...[]), 'Cannot apply einsum "" to no operands'],
    [of("ijk->i", [2, 3]), 'term "ijk" needs an operand of 3 axes: it is [2,3]'],
    [of("ij...k->i", [2, 3]), 'term "ij...k" needs an operand of at least 3 axes: it is [2,3]'],
    [of("i2->i", [2, 3]), 'a term must be letters with at most one "...": it is "i2"'],
    [of("...i...->i", [2, 3]), 'it is "...i..."'],
    [of("ij->i->j", [2, 3]), 'the equation may have one "->": it has 2'],
    [of("ij->ik", [2, 3]), `the result's "k" must be an axis of an operand: it is of none`],
    [of("ij->ii", [2, 3]), 'the result must have each axis once: it has "i" twice'],
    [of("ii->i", [2, 3]), 'axes of "i" must be equal: they are 2 and 3'],
    [of("...i,...i", [2, 3], [3, 3]), 'axes of "..." must be equal or 1: they are 2 and 3'],
    [
      () => einsum("i,i", placeholder([2], "i32"), placeholder([2])),
      "Cannot apply einsum: operand 1 must be f32 or f16: it is i32",
      TypeError,
    ],
  );
});

testOnEachKind("dot(), vdot(), outer() and tensordot() are NumPy's", async (device) => {
  const cases: [name: string, (a: Tensor, b: Tensor) => Tensor, equation: string, a: number[], b: number[]][] = [
    ["dot", dot, "i,i->", [9], [9]],
    ["dot", dot, "ij,jk->ik", [2, 3], [3, 4]],
    ["dot", dot, "aij,j->ai", [2, 3, 4], [4]],
    ["dot", dot, "ij,ajk->iak", [2, 3], [4, 3, 5]],
    ["dot", dot, ",ij->ij", [], [2, 3]],
    ["outer", outer, "i,j->ij", [3], [4]],
    ["tensordot", tensordot, "ijk,jkl->il", [2, 3, 4], [3, 4, 5]],
    ["tensordot", (a, b) => tensordot(a, b, 0), "i,j->ij", [2], [3]],
    ["tensordot", (a, b) => tensordot(a, b, [[0, -1], [2, 0]]), "ijk,kli->jl", [2, 3, 4], [4, 5, 2]],
  ];
  for (const [name, f, equation, a, b] of cases) {
    const inputs = [randomTensor(a, 1), randomTensor(b, 2)],
      want = bruteForce(plain(equation, [a, b]), inputs.map(toValues));
    assertEquals(f(placeholder(a), placeholder(b)).shape, want.shape, name);
    await checkOp(f, inputs, (...x) => bruteForce(plain(equation, [a, b]), x).data, {
      device,
      edges: device.profile.kind === "cpu" ? {} : "as on the other kind",
    });
  }
  await checkOp(vdot, [randomTensor([2, 6], 1), randomTensor([3, 4], 2)], (a, b) => [
    a!.data.reduce((all, x, i) => all + x * b!.data[i]!, 0),
  ], { device });
});

Deno.test("dot() of vectors is a sum in a fixed order that many threads share", async () => {
  const program = await compile(dot).program(placeholder([100_000]), placeholder([100_000]));
  assert(program.plan.steps.every(({ name }) => !name.startsWith("matmul")), program.toString());
});

Deno.test("dot(), vdot() and tensordot() name what does not fit", async () => {
  const x = (...shape: number[]) => placeholder(shape);
  await assertRefused(
    [
      () => dot(x(2, 3), x(2, 3)),
      "pairs of different axes must be equally long: axes [-1] of [2,3] and [-2] of [2,3]",
    ],
    [() => vdot(x(2, 3), x(5)), "Cannot apply vdot: a and b must have as many elements: they are [2,3] and [5]"],
    [() => tensordot(x(2, 3), x(3, 3), [[1, 1], [0, 1]]), "Cannot apply tensordot: pairs of different axes"],
    [() => tensordot(x(2, 3), x(3, 3), [[1], [0, 1]]), "Cannot apply tensordot: pairs of different axes"],
    [() => tensordot(x(2, 3), x(3), 2), "Cannot apply tensordot: axis must be an integer from -1 to 0: axis is 1"],
    [() => outer(placeholder([2], "u32"), x(3)), "Cannot apply outer: a must be f32 or f16: it is u32", TypeError],
  );
});
