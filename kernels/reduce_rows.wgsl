// Reduces rows, or chunks of rows: y[r * chunks + c] = scale * combine of x[r, c * chunk .. (c + 1) * chunk).
// x [rows, length], y [rows, chunks]. A row of y's elements belongs to the thread or the workgroup of that (row, chunk).
// Frame: rows.wgsl.
//#hook combine

struct Uniforms { rows: u32, length: u32, chunk: u32, chunks: u32, scale: f32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
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
  if (lane == 0u) { y[row] = value * u.scale; }
}
