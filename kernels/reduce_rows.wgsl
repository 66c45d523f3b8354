// Reduces rows, or chunks of rows: y[r * chunks + c] = scale * combine of x[r, c * chunk .. (c + 1) * chunk).
// x [rows, length], y [rows, chunks], of the element type E. A row of y's elements belongs to the thread or the workgroup of
// that (row, chunk). The hook gives E, `start`, `combine` (for R) and `combine_two` (for E). Frame: rows.wgsl.
const FLOAT = true; // whether E is f32: integers have no scale
//#hook combine

//#if VECTOR
alias R = vec4<E>;
fn joined(v: R) -> E { return combine_two(combine_two(v.x, v.y), combine_two(v.z, v.w)); }
//#else
alias R = E;
fn joined(v: R) -> E { return v; }
//#end

//#if SHARED
var<workgroup> shared_parts: array<E, LANES>;
fn across(lane: u32, v: R) -> E {
  shared_parts[lane] = joined(v);
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { shared_parts[lane] = combine_two(shared_parts[lane], shared_parts[lane + half]); }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&shared_parts[0]);
}
//#else
fn across(lane: u32, v: R) -> E { return joined(v); }
//#end

struct Uniforms { rows: u32, length: u32, chunk: u32, chunks: u32, scale: f32 }
@group(0) @binding(0) var<storage, read_write> x: array<R>;
@group(0) @binding(1) var<storage, read_write> y: array<E>;
@group(0) @binding(2) var<uniform> u: Uniforms; // rows: rows * chunks; length, chunk: in loads

fn compute_row(row: u32, lane: u32) {
  let base = row / u.chunks * u.length;
  let begin = row % u.chunks * u.chunk;
  let end = min(begin + u.chunk, u.length);
  let first = x[base + begin];
  var all = start(first);
  for (var at = begin; at < end; at += BLOCK * LANES) {
    var part = start(first);
    for (var i = at + lane; i < min(end, at + BLOCK * LANES); i += LANES) { part = combine(part, x[base + i]); }
    all = combine(all, part);
  }
  let value = across(lane, all);
//#if FLOAT
  if (lane == 0u) { y[row] = value * u.scale; }
//#else
  if (lane == 0u) { y[row] = value; }
//#end
}
