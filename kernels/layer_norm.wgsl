// LayerNorm of rows: y = (x - mean) / sqrt(variance + eps) * gamma + beta, with the variance from a second pass over x.
// x, y [rows, length], gamma, beta [length], offset, rstd [rows]. Everything is relative to the row's first element, so a
// constant row has variance 0 exactly and a large mean costs no digits: offset = mean - x[row, 0]. Frame: rows.wgsl.
struct Uniforms { rows: u32, length: u32, eps: f32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> gamma: array<F>;
@group(0) @binding(2) var<storage, read_write> beta: array<F>;
@group(0) @binding(3) var<storage, read_write> offsets: array<f32>;
@group(0) @binding(4) var<storage, read_write> rstds: array<f32>;
@group(0) @binding(5) var<uniform> u: Uniforms; // length: in loads
//#hook emit

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  let first = F(first_of(x[base]));
  let count = f32(u.length * WIDTH);
  var all = F(0.0);
  for (var i = lane; i < u.length; i += LANES) { all += x[base + i] - first; }
  let offset = row_sum(lane, total(all)) / count;
  all = F(0.0);
  for (var i = lane; i < u.length; i += LANES) {
    let d = x[base + i] - first - offset;
    all = fma(d, d, all);
  }
  let rstd = inverseSqrt(row_sum(lane, total(all)) / count + u.eps);
  for (var i = lane; i < u.length; i += LANES) {
    emit((base + i) * WIDTH, fma((x[base + i] - first - offset) * rstd, gamma[i], beta[i]));
  }
  if (lane == 0u) {
    offsets[row] = offset;
    rstds[row] = rstd;
  }
}
