// Input gradient of the softmax, x_grad = y * (dy - sum(y * dy)), or of the log-softmax, x_grad = dy - exp(y) * sum(dy).
// y, dy, x_grad [rows, length]; sums over the row. Frame: rows.wgsl.
const LOG = false;

struct Uniforms { rows: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> y: array<F>;
@group(0) @binding(1) var<storage, read_write> dy: array<F>;
@group(0) @binding(2) var<storage, read_write> x_grad: array<F>;
@group(0) @binding(3) var<uniform> u: Uniforms; // length: in loads

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  var all = F(0.0);
  for (var i = lane; i < u.length; i += LANES) {
//#if LOG
    all += dy[base + i];
//#else
    all = fma(y[base + i], dy[base + i], all);
//#end
  }
  let sum = row_sum(lane, total(all));
  for (var i = lane; i < u.length; i += LANES) {
//#if LOG
    x_grad[base + i] = dy[base + i] - exp_below(y[base + i]) * sum;
//#else
    x_grad[base + i] = y[base + i] * (dy[base + i] - sum);
//#end
  }
}
