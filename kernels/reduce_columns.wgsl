// Reduces the middle axis: y[o, c, i] = scale * combine over r in [c * chunk, (c + 1) * chunk) of x[o, r, i].
// x [outer, length, inner], y [outer, chunks, inner], of the element type E, which the hook gives. One thread owns one
// element (or four along inner) of y and combines in order, in blocks. Frame: flat.wgsl.
const VECTOR = true;
const FLOAT = true; // whether E is f32: integers have no scale
const BLOCK = 32u; // elements that are added up before their sum is added to that of the blocks, against rounding
//#hook combine
//#if VECTOR
alias R = vec4<E>;
//#else
alias R = E;
//#end

struct Uniforms { count: u32, length: u32, inner: u32, chunk: u32, chunks: u32, scale: f32 }
@group(0) @binding(0) var<storage, read_write> x: array<R>;
@group(0) @binding(1) var<storage, read_write> y: array<R>;
@group(0) @binding(2) var<uniform> u: Uniforms; // count, inner: in loads

fn compute(id: u32) {
  let column = id % u.inner;
  let rest = id / u.inner;
  let base = rest / u.chunks * u.length * u.inner + column;
  let begin = rest % u.chunks * u.chunk;
  let end = min(begin + u.chunk, u.length);
  let first = x[base + begin * u.inner];
  var all = start(first);
  for (var at = begin; at < end; at += BLOCK) {
    var part = start(first);
    for (var r = at; r < min(end, at + BLOCK); r++) { part = combine(part, x[base + r * u.inner]); }
    all = combine(all, part);
  }
//#if FLOAT
  y[id] = all * u.scale;
//#else
  y[id] = all;
//#end
}
