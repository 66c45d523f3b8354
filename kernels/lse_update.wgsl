// One step of an online log-sum-exp over tiles of columns: (top, sum) of a row becomes that of the row with the tile's
// elements added, sum being that of exp(x - top). state, result [rows, 2], tile [rows, length]. Starts from (MASKED, 0).
// Frame: rows.wgsl.
struct Uniforms { rows: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> state: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> tile: array<F>;
@group(0) @binding(2) var<storage, read_write> result: array<vec2<f32>>;
@group(0) @binding(3) var<uniform> u: Uniforms; // length: in loads

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  let before = state[row];
  var tops = F(before.x);
  for (var i = lane; i < u.length; i += LANES) { tops = max(tops, tile[base + i]); }
  let top = row_max(lane, largest(tops));
  var all = F(0.0);
  for (var i = lane; i < u.length; i += LANES) { all += exp_below(tile[base + i] - F(top)); }
  let sum = row_sum(lane, total(all));
  if (lane == 0u) { result[row] = vec2(top, fma(before.y, exp(max(before.x - top, EXP_LEAST)), sum)); }
}
