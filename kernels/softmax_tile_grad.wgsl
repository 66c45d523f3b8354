// Gradient of cross-entropy for a tile of the logits' columns: d = (exp(x - lse) - onehot) * scale, where onehot is 1 in
// column label - offset if the tile holds it; rows with the ignored label get 0.
// tile, d [rows, length], lse, labels, scale [rows]; offset is the number of the tile's first column. Frame: rows.wgsl.
struct Uniforms { rows: u32, length: u32, offset: u32, ignored: i32 }
@group(0) @binding(0) var<storage, read_write> tile: array<F>;
@group(0) @binding(1) var<storage, read_write> lse: array<f32>;
@group(0) @binding(2) var<storage, read_write> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> scales: array<f32>;
@group(0) @binding(4) var<storage, read_write> d: array<F>;
@group(0) @binding(5) var<uniform> u: Uniforms; // length: in loads

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  let label = labels[row];
  let target_column = C(u32(label) - u.offset);
  let scale = scales[row];
  let ignored = label == u.ignored; // selects, since 0 times a logit that is NaN would be NaN
  let row_lse = F(lse[row]);
  for (var i = lane; i < u.length; i += LANES) {
    let onehot = select(F(0.0), F(1.0), columns_of(i) == target_column);
    d[base + i] = select((exp_below(tile[base + i] - row_lse) - onehot) * scale, F(0.0), ignored);
  }
}
