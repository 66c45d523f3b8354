import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { type Bindings, type BufferRef, kernel } from "../../src/gpu/kernel.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import { apply, type Op, type Tensor } from "../../src/program/graph.ts";

function buffer(value: number): BufferRef {
  return { value, offset: 0, bytes: 16, dtype: "f32" };
}

const [x, y, z] = [buffer(1), buffer(2), buffer(3)] as const;

const scale = `// Scales x.
struct Uniforms { count: u32, factor: f32 } // count: in loads
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> u: Uniforms;
`;

/** The declarations of a kernel's text, `number name`. */
function numbers(code: string): string[] {
  return [...code.matchAll(/@binding\((\d+)\) var<[^>]*> (\w+)/g)].map(([, n, name]) => `${n} ${name}`);
}

Deno.test("bind() puts what is given in the order of the text, whatever order it comes in", () => {
  const { name, code, bindings } = kernel("scale", scale).bind({ u: { factor: 0.5, count: 7 }, y, x });
  assertEquals(name, "scale");
  assertEquals(numbers(code), ["0 x", "1 y", "2 u"]);
  assertEquals(bindings, [x, y, { words: [7, 0x3f000000] }]);
});

Deno.test("bindings are numbered anew where a condition leaves one out and a hook adds one", () => {
  const source = `const MASK = false;
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
//#if MASK
@group(0) @binding(1) var<storage, read_write> mask: array<f32>;
//#end
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
//#hook emit
`;
  const emit = "@group(0) @binding(0) var<storage, read_write> z: array<f32>;";
  const plain = kernel("masked", source).bind({ x, y, mask: undefined });
  assertEquals(numbers(plain.code), ["0 x", "1 y"]);
  const full = kernel("masked", source, { consts: { MASK: true }, hooks: { emit } });
  assertEquals(numbers(full.code), ["0 x", "1 mask", "2 y", "3 z"]);
  assertEquals(full.bind({ z, y, x, mask: x }).bindings, [x, x, y, z]);
});

Deno.test("kernels that differ in a constant, a list, a hook or the library only are told apart", () => {
  const source = "const N = 1u;\n//#each x NAMES\nfn $x() {}\n//#end\n//#hook end";
  const code = (n: number, name: string, end: string, library: string) =>
    kernel("same", source, { consts: { N: n }, lists: { NAMES: [name] }, hooks: { end }, library: `${library}\n` })
      .code;
  const texts = [code(1, "a", "b", "c"), code(2, "a", "b", "c"), code(1, "d", "b", "c"), code(1, "a", "d", "c")];
  assertEquals(new Set([...texts, code(1, "a", "b", "d")]).size, 5);
  assertMatch(texts[1]!, /c\nconst N = 2u;\nfn a\(\) \{\}\nb$/);
});

/** Copies every number of a uniform whose fields are of all types and alignments. */
const everyField = `struct Uniforms {
  a: u32, b: vec2<f32>, // starts at 8
  c: i32,
  d: vec3<i32>, e: f32, // e follows d at once
  f: vec4<u32>, g: vec2<u32>, h: vec3<f32>,
}
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<uniform> u: Uniforms;
@group(0) @binding(2) var<uniform> words: array<vec4<u32>, 2>;
@compute @workgroup_size(1) fn main() {
  y[0] = u.a;
  for (var i = 0u; i < 2u; i++) { y[1 + i] = bitcast<u32>(u.b[i]); y[13 + i] = u.g[i]; }
  y[3] = bitcast<u32>(u.c);
  for (var i = 0u; i < 3u; i++) { y[4 + i] = bitcast<u32>(u.d[i]); y[15 + i] = bitcast<u32>(u.h[i]); }
  y[7] = 0u;
  y[8] = bitcast<u32>(u.e);
  for (var i = 0u; i < 4u; i++) { y[9 + i] = u.f[i]; }
  y[18] = words[0].x + words[1].y;
}`;

Deno.test("uniforms are laid out as the GPU reads them", async () => {
  const u = { a: 5, b: [0.5, -1], c: -7, d: [-1, 2, -3], e: 2, f: [1, 2, 3, 4], g: [8, 9], h: [1, 2, 4] };
  const op: Op<null> = {
    name: "fields",
    infer: () => [{ shape: [19], dtype: "u32" }],
    lower: (ctx) =>
      ctx.dispatch({
        ...kernel("fields", everyField).bind({ y: ctx.outputs[0], u, words: [40, 0, 0, 0, 0, 2] }),
        workgroups: 1,
      }),
  };
  const f32 = (...values: number[]) => new Uint32Array(Float32Array.of(...values).buffer);
  const i32 = (...values: number[]) => new Uint32Array(Int32Array.of(...values).buffer);
  const run = compile((t: Tensor) => apply(op, [t], null));
  const expected = [5, ...f32(0.5, -1), ...i32(-7, -1, 2, -3), 0, ...f32(2), 1, 2, 3, 4, 8, 9, ...f32(1, 2, 4), 42];
  assertEquals(Array.from(await toHost(await run(tensor([0])))), expected);
});

Deno.test("a kernel that names f16 outside of comments enables it", () => {
  assertEquals(kernel("half", "alias E = f16;").code.startsWith("enable f16;\n"), true);
  assertEquals(kernel("half", "alias E = f32; // or f16").code.includes("enable"), false);
});

function refused(given: Bindings, sentence: string): void {
  assertThrows(() => kernel("scale", scale).bind(given), TypeError, `Cannot bind the kernel "scale": ${sentence}`);
}

Deno.test("bind() refuses names that are missing or unknown, and says which there are", () => {
  const u = { count: 1, factor: 1 };
  refused({ x, u }, `its names must be x, y, u: they are x, u ("y" is missing)`);
  refused({ x, y: undefined, u }, `its names must be x, y, u: they are x, u ("y" is missing)`);
  refused({ x, out: y, u }, `its names must be x, y, u: they are x, out, u ("y" is missing, "out" is unknown)`);
  refused({}, `its names must be x, y, u: they are none (`);
  refused(
    { x, y, u: { rows: 1, factor: 1 } },
    `the fields of "u" must be count, factor: they are rows, factor ("count" is missing, "rows" is unknown)`,
  );
});

Deno.test("bind() refuses what is of the wrong kind", () => {
  const u = { count: 1, factor: 1 };
  refused({ x, y: { count: 1 }, u }, `"y" must be a buffer: it is {"count":1}`);
  refused({ x, y, u: x }, `"u" must be a uniform (count, factor): it is a buffer`);
  refused({ x, y, u: [1, 2] }, `"u" must be a uniform (count, factor): it is [1,2]`);
  refused({ x, y, u: { ...u, count: 1.5 } }, `in "u", "count" must be of type u32: it is 1.5`);
  refused({ x, y, u: { ...u, count: -1 } }, `in "u", "count" must be of type u32: it is -1`);
  refused({ x, y, u: { ...u, factor: NaN } }, `in "u", "factor" must be a finite f32: it is NaN`);
  refused({ x, y, u: { ...u, factor: 1e39 } }, `in "u", "factor" must be a finite f32: it is 1e+39`);
  refused({ x, y, u: { ...u, factor: [1, 2] } }, `in "u", "factor" must hold 1 numbers: there are 2`);
  const words = kernel("words", "@group(0) @binding(0) var<uniform> eu: array<vec4<u32>, 1>;");
  assertThrows(() => words.bind({ eu: [1, 2, 3, 4, 5] }), TypeError, "it must hold at most 4 numbers: there are 5");
  assertThrows(() => words.bind({ eu: { a: 1 } }), TypeError, `"eu" must be a uniform (words): it is {"a":1}`);
});

Deno.test("a kernel whose bindings cannot be read is refused", () => {
  const declare = (text: string) => () => kernel("odd", `struct S { a: mat2x2<f32> }\n@group(0) @binding(0) ${text}`);
  assertThrows(
    declare("var<uniform> u: S;"),
    Error,
    `a field must be u32, i32, f32 or a vector of them: it is "a: mat2x2<f32>"`,
  );
  assertThrows(
    declare("var<uniform> u: f32;"),
    Error,
    `Cannot lay out the uniform "u" of the kernel "odd": its type must be a struct or array<vec4<u32>, N>: it is f32`,
  );
  assertThrows(declare("var t: texture_2d<f32>;"), Error, `Cannot read the bindings of the kernel "odd"`);
});
