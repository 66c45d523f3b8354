// Reduces the middle axis: y[o, c, i] = scale * combine over r in [c * chunk, (c + 1) * chunk) of x[o, r, i].
// x [outer, length, inner], y [outer, chunks, inner]. One thread owns one element (or four along inner) of y and adds up
// in order, in blocks of 32.
const THREADS = 16u;
const VECTOR = true;
//#if VECTOR
alias F = vec4<f32>;
//#else
alias F = f32;
//#end
//#hook combine

struct Uniforms { count: u32, length: u32, inner: u32, chunk: u32, chunks: u32, scale: f32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> y: array<F>;
@group(0) @binding(2) var<uniform> u: Uniforms; // count, inner: in loads

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = linear_workgroup(group, groups) * THREADS + thread;
  if (id >= u.count) { return; }
  let column = id % u.inner;
  let rest = id / u.inner;
  let base = rest / u.chunks * u.length * u.inner + column;
  let begin = rest % u.chunks * u.chunk;
  let end = min(begin + u.chunk, u.length);
  var all = F(IDENTITY);
  for (var at = begin; at < end; at += 32u) {
    var part = F(IDENTITY);
    for (var r = at; r < min(end, at + 32u); r++) { part = combine(part, x[base + r * u.inner]); }
    all = combine(all, part);
  }
  y[id] = all * u.scale;
}
