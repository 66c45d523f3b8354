// Takes elements along an axis by index: y[o, n, c] = x[o, k, c], k being indices[n], or indices[o, n, c] where each element
// has an index of its own. x [outer, length, inner], y [outer, many, inner] in 32-bit words of any type. An index beyond the
// last gives `fill`. One thread owns one word (or four) of y. Frame: flat.wgsl.
const VECTOR = true;
const EACH = false;
//#if VECTOR
alias W = vec4<u32>;
//#else
alias W = u32;
//#end

struct Uniforms { count: u32, length: u32, many: u32, inner: u32, fill: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<W>;
@group(0) @binding(1) var<storage, read_write> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<W>;
@group(0) @binding(3) var<uniform> u: Uniforms; // count, inner: in loads

fn compute(id: u32) {
  let row = id / u.inner;
//#if EACH
  let k = indices[id];
//#else
  let k = indices[row % u.many];
//#end
  var word = W(u.fill);
  if (k < u.length) { word = x[(row / u.many * u.length + k) * u.inner + id % u.inner]; }
  y[id] = word;
}
