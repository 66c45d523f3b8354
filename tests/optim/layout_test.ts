import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { albefSpec, TEMPERATURE_BOUNDS } from "../../src/models/albef.ts";
import { configs } from "../../src/models/config.ts";
import { initialize, mapSpecs, Spec, specEntries, type SpecTree } from "../../src/nn/spec.ts";
import { globalNorm } from "../../src/optim/adamw.ts";
import { officialDecay, ParameterLayout } from "../../src/optim/layout.ts";
import { compile, item, tensor, toHost } from "../../src/program/compile.ts";
import { sizeOf, type Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";

const spec = {
  embed: new Spec([3, 5], { normal: 1 }),
  blocks: [
    { weight: new Spec([7, 11], { normal: 1 }), bias: new Spec([11], { normal: 1 }) },
    { weight: new Spec([64], { normal: 1 }), bias: new Spec([1, 9], { normal: 1 }) },
  ],
  temp: new Spec([], { constant: 0.07 }),
};

/** Asserts that nothing overlaps, every start is aligned and every parameter lies in a buffer that treats it as it should. */
function assertPlaced(layout: ParameterLayout<SpecTree>, tree: SpecTree): void {
  const placed = [...layout.places.values()];
  assertEquals(placed.map((e) => e.name), specEntries(tree).map(([name]) => name));
  for (const frozen of [false, true]) {
    (frozen ? layout.frozen : layout.buffers).forEach(({ size }, buffer) => {
      let end = 0;
      for (const { name, shape, offset } of placed.filter((e) => e.frozen === frozen && e.buffer === buffer)) {
        assert(offset >= end && offset % 64 === 0, `${name} starts at ${offset}, ${end} is taken`);
        end = offset + sizeOf(shape);
      }
      assert(end <= size && end > size - 64, `buffer ${buffer} of ${size} ends after ${end}`);
    });
  }
}

Deno.test("officialDecay() leaves out 1-D tensors and biases, but not tables, tokens and the 0-D temperature", () => {
  const { decayed, notDecayed, frozen } = new ParameterLayout(albefSpec(configs.tiny)).decayGroups();
  for (
    const name of [
      "temp",
      "visual_encoder.pos_embed",
      "visual_encoder.cls_token",
      "text_encoder.bert.embeddings.word_embeddings.weight",
      "text_encoder.bert.embeddings.position_embeddings.weight",
      "visual_encoder.blocks.0.attn.qkv.weight",
    ]
  ) assert(decayed.includes(name), name);
  for (
    const name of [
      "visual_encoder.norm.weight",
      "visual_encoder.blocks.0.attn.qkv.bias",
      "text_encoder.cls.predictions.bias",
      "itm_head.bias",
    ]
  ) assert(notDecayed.includes(name), name);
  assertEquals(decayed.length + notDecayed.length, specEntries(albefSpec(configs.tiny)).length);
  assertEquals(frozen, []);
  assert(!officialDecay("a.bias", [2, 3]));
});

Deno.test("a layout places every parameter once, aligned, in as many buffers as maxBytes asks for", () => {
  const one = new ParameterLayout(spec);
  assertPlaced(one, spec);
  assertEquals(one.buffers.map((f) => f.decay), [true, false]);
  const many = new ParameterLayout(spec, { bounds: { temp: TEMPERATURE_BOUNDS } }, 4 * 128);
  assertPlaced(many, spec);
  assert(many.buffers.length > 3);
  // A parameter that is larger than maxBytes has a buffer of its own.
  for (const { size } of many.buffers) assert(size <= 128);
  const tight = new ParameterLayout(spec, {}, 4);
  assertPlaced(tight, spec);
  assertEquals(tight.buffers.length, specEntries(spec).length);
  const base = new ParameterLayout(albefSpec(configs.base));
  assertPlaced(base, albefSpec(configs.base));
  assert(base.buffers.every((f) => f.size * 4 <= 2 ** 27));
});

Deno.test("bounded parameters lie apart from the others", () => {
  const layout = new ParameterLayout(spec, { bounds: { temp: TEMPERATURE_BOUNDS } });
  const { buffer } = layout.places.get("temp")!;
  assertEquals(layout.buffers[buffer], { size: 64, decay: true, bounds: TEMPERATURE_BOUNDS });
  assertEquals([...layout.places.values()].filter((e) => e.buffer === buffer).map((e) => e.name), ["temp"]);
});

Deno.test("parameters that are not trained have buffers of their own, without decay and bounds", () => {
  const trainable = (name: string): boolean => name.startsWith("blocks.1") || name === "embed";
  for (const maxBytes of [2 ** 27, 4 * 128]) {
    const layout = new ParameterLayout(spec, { trainable, bounds: { temp: TEMPERATURE_BOUNDS } }, maxBytes);
    assertPlaced(layout, spec);
    assertEquals(layout.decayGroups(), {
      decayed: ["embed"],
      notDecayed: ["blocks.1.weight", "blocks.1.bias"],
      frozen: ["blocks.0.weight", "blocks.0.bias", "temp"],
    });
    assert(layout.frozen.every(({ decay, bounds }) => !decay && bounds === undefined));
  }
});

Deno.test("rules that fit no parameter are refused", () => {
  assertThrows(
    () => new ParameterLayout(spec, { bounds: { temp: TEMPERATURE_BOUNDS, "blocks.2.bias": [0, 1] } }),
    RangeError,
    'Cannot bound the parameter "blocks.2.bias": the model has none of that name',
  );
  assertThrows(
    () => new ParameterLayout(spec, { trainable: () => false }),
    RangeError,
    "Cannot train: at least one parameter must be trainable: none is",
  );
});

Deno.test("unpack() finds trained and frozen parameters, pack() leaves gradients of frozen ones out", async () => {
  const layout = new ParameterLayout(spec, { trainable: (name) => !name.endsWith("weight") }),
    params = initialize(spec, 3);
  const there = compile((p: Tree) => layout.pack(p as unknown as typeof params));
  const trained = await there(params), frozen = layout.packHost((name) => leaf(params, name), "frozen");
  assertEquals(await toHost(trained), layout.packHost((name) => leaf(params, name)));
  assertEquals([trained.length, frozen.length], [layout.buffers.length, layout.frozen.length]);
  const back = compile((...flats: Tensor[]) =>
    layout.unpack(flats.slice(0, trained.length), flats.slice(trained.length)) as Tree
  );
  const unpacked = leaves(await back(...trained, ...frozen.map((f) => tensor(f))));
  assertEquals(await toHost(unpacked), leaves(params).map((t) => t.node.host!));
  assertEquals([...layout.unpackHost(layout.packHost((name) => leaf(params, name))).keys()], [
    "embed",
    "blocks.0.bias",
    "blocks.1.bias",
    "temp",
  ]);
  there.destroy(), back.destroy();
});

for (const maxBytes of [2 ** 27, 4 * 128]) {
  Deno.test(`unpack() takes back what pack() has put together, with buffers of ${maxBytes} bytes`, async () => {
    const layout = new ParameterLayout(spec, {}, maxBytes);
    const params = initialize(spec, 3);
    const there = compile((p: Tree) => layout.pack(p as unknown as typeof params));
    const back = compile((...flats: Tensor[]) => layout.unpack(flats) as Tree);
    const flats = await there(params);
    const host = layout.packHost((name) => leaf(params, name));
    assertEquals(await toHost(flats), host);
    assertEquals(await toHost(leaves(await back(...flats))), leaves(params).map((t) => t.node.host!));
    for (const [name, { shape, data }] of layout.unpackHost(host)) {
      assertEquals([...data], [...leaf(params, name)], name);
      assertEquals(shape, layout.places.get(name)!.shape);
    }
    there.destroy(), back.destroy();
  });
}

Deno.test("the gaps between parameters have no part in the norm of gradients", async () => {
  const layout = new ParameterLayout(spec);
  const ones = mapSpecs(spec, ({ shape }) => tensor(new Float32Array(sizeOf(shape)).fill(1), shape));
  const norm = compile((p: Tree) => globalNorm(layout.pack(p as unknown as typeof ones)));
  const count = specEntries(spec).reduce((n, [, { shape }]) => n + sizeOf(shape), 0);
  assertAlmostEquals(await item(await norm(ones)), Math.sqrt(count), 1e-5);
  norm.destroy();
});

Deno.test("packHost() refuses values of another size and names the parameter", () => {
  const layout = new ParameterLayout(spec);
  assertThrows(
    () => layout.packHost((name, shape) => new Float32Array(name === "embed" ? 14 : sizeOf(shape))),
    RangeError,
    'Cannot use the values of "embed": shape [3,5] needs 15 elements: there are 14',
  );
});

function leaf(params: ReturnType<typeof initialize<typeof spec>>, name: string): Float32Array {
  const at = specEntries(spec).findIndex(([n]) => n === name);
  return leaves(params)[at]!.node.host as Float32Array;
}
