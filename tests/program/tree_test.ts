import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { add, multiply, square, subtract } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Aval, Tensor } from "../../src/program/graph.ts";
import { placeholders } from "../../src/program/program.ts";
import {
  entries,
  filterTree,
  fromLeaves,
  leaves,
  mapTrees,
  partitionTree,
  paths,
  reduceTree,
  replaceLeaves,
  signature,
  type Tree,
} from "../../src/program/tree.ts";
import { assertRefused } from "../testing/refusals.ts";

const aval = (dtype: Aval["dtype"], ...shape: number[]): Aval => ({ shape, dtype });

Deno.test("placeholders() gives tensors in the same records and lists, whatever these are named", () => {
  type Input = { readonly dtype: Tensor; readonly shape: readonly Tensor[]; readonly last: { readonly x: Tensor } };
  const input = placeholders<Input>({
    dtype: aval("u32", 2, 3),
    shape: [aval("f32"), aval("i32", 4)],
    last: { x: aval("f16", 1) },
  });
  assertEquals(signature(input), "dtype:u32[2,3];shape.0:f32[];shape.1:i32[4];last.x:f16[1]");
  assertEquals(signature(placeholders<Input>(input)), signature(input), "a tensor is its own shape and type");
  assertEquals(signature(placeholders<Tensor>(aval("f32", 5))), ":f32[5]");
});

const params = { a: { w: tensor([1, 2]), b: [tensor([3]), tensor([[4, 5]])] }, c: tensor(6) };

Deno.test("paths() and leaves() name and list tensors in the order in which they are written", () => {
  assertEquals(paths(params), ["a.w", "a.b.0", "a.b.1", "c"]);
  assertEquals(leaves(params).map(String), ["f32[2]", "f32[1]", "f32[1,2]", "f32[]"]);
  assertEquals(paths(tensor(1)), [""]);
  assertEquals([paths({}), paths([]), leaves({ a: {}, b: [] })], [[], [], []]);
  assertEquals(fromLeaves(params, leaves(params)), params);
});

Deno.test("mapTrees() combines what is at one path, in whatever order names are", async () => {
  const shuffled = { c: tensor(60), a: { b: [tensor([30]), tensor([[40, 50]])], w: tensor([10, 20]) } };
  const seen: string[] = [];
  const result = mapTrees([params, shuffled, params], ([x, y, z], path) => {
    seen.push(path);
    return add(subtract(y!, x!), multiply(z!, 2));
  });
  assertEquals(seen, paths(params));
  assertEquals((await toHost(leaves(result))).map((v) => [...v]), [[11, 22], [33], [44, 55], [66]]);
});

Deno.test("mapTrees() says where structures differ", async () => {
  const zip = (other: unknown) => () => mapTrees([params, params, other as Tree], ([x]) => x!);
  const { a, c } = params, start = "Cannot map trees together: tree 2 must have the structure of tree 0:";
  await assertRefused(
    [zip({ a }), `${start} there is no "c"`, TypeError],
    [zip({ a, c, d: c }), `${start} there is a "d" too many`, TypeError],
    [zip({ a: { w: a.w, b: [a.b[0]] }, c }), `${start} there is no "a.b.1"`, TypeError],
    [zip({ a: { w: a.w, b: { 0: a.b[0], 1: a.b[1] } }, c }), `${start} "a.b" is a record instead of a list`, TypeError],
    [zip({ a: { w: a.w, b: a.b }, c: [c] }), `${start} "c" is a list instead of a tensor`, TypeError],
    [zip({ a: { w: 1, b: a.b }, c }), `${start} "a.w" is a number instead of a tensor`, TypeError],
    [zip(c), `${start} the whole is a tensor instead of a record`, TypeError],
    [() => replaceLeaves(params, { "a.b.2": c }), `Cannot replace "a.b.2": the tree must have a tensor at that path`],
  );
});

Deno.test("reduceTree(), filterTree() and partitionTree() see every tensor once, with its path", () => {
  assertEquals(reduceTree(params, 0, (n, leaf) => n + leaf.size), 6);
  assertEquals(reduceTree(params, "", (text, _, path) => `${text}${path};`), "a.w;a.b.0;a.b.1;c;");
  assertEquals(Object.keys(filterTree(params, (path, leaf) => path !== "c" && leaf.size === 2)), ["a.w", "a.b.1"]);
  const [inside, outside] = partitionTree(params, (path) => path.startsWith("a.b."));
  assertEquals([Object.keys(inside), Object.keys(outside)], [["a.b.0", "a.b.1"], ["a.w", "c"]]);
  assertEquals(entries(replaceLeaves(params, { ...inside, ...outside })), entries(params));
});

Deno.test("a part of a tree can be differentiated and put back, inside of compile()", async () => {
  const loss = (p: typeof params) => add(sum(square(p.a.w)), multiply(square(p.c), sum(p.a.b[1]!)));
  const step = compile((p: typeof params) => {
    const [trained] = partitionTree(p, (path) => path !== "a.w");
    const gradients = grad((trained: Record<string, Tensor>) => loss(replaceLeaves(p, trained)))(trained);
    return replaceLeaves(p, mapTrees([trained, gradients], ([x, g]) => subtract(x!, g!)));
  });
  const next = await step(params);
  assertEquals((await toHost(leaves(next))).map((v) => [...v]), [[1, 2], [3], [4 - 36, 5 - 36], [6 - 12 * 9]]);
  step.destroy();
});
