// Input gradient of LayerNorm: with h = (x - mean) * rstd and g = dy * gamma,
// dx = rstd * (g - mean(g) - h * mean(g * h)), the means over the row. Shapes as in layer_norm.wgsl; dy, dx as x.
// Frame: rows.wgsl.
struct Uniforms { rows: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> gamma: array<F>;
@group(0) @binding(2) var<storage, read_write> offsets: array<f32>;
@group(0) @binding(3) var<storage, read_write> rstds: array<f32>;
@group(0) @binding(4) var<storage, read_write> dy: array<F>;
@group(0) @binding(5) var<uniform> u: Uniforms; // length: in loads
//#hook emit

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  let first = F(first_of(x[base]));
  let count = f32(u.length * WIDTH);
  let offset = offsets[row];
  let rstd = rstds[row];
  var sum_g = F(0.0);
  var sum_gh = F(0.0);
  for (var i = lane; i < u.length; i += LANES) {
    let g = dy[base + i] * gamma[i];
    sum_g += g;
    sum_gh = fma(g, (x[base + i] - first - offset) * rstd, sum_gh);
  }
  let mean_g = row_sum(lane, total(sum_g)) / count;
  let mean_gh = row_sum(lane, total(sum_gh)) / count;
  for (var i = lane; i < u.length; i += LANES) {
    let h = (x[base + i] - first - offset) * rstd;
    emit((base + i) * WIDTH, (fma(dy[base + i], gamma[i], -h * mean_gh) - mean_g) * rstd);
  }
}
