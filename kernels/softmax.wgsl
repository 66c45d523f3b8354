// Softmax family over rows of x [rows, length]: y = exp(x - top) / sum (softmax), (x - top) - log(sum) (log-softmax), or one
// top + log(sum) a row (log-sum-exp), where top is the row's largest element and sum that of exp(x - top).
// Frame: rows.wgsl.
const LOG = false;
const LSE = false;

struct Uniforms { rows: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
//#if LSE
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
//#else
@group(0) @binding(1) var<storage, read_write> y: array<F>;
//#end
@group(0) @binding(2) var<uniform> u: Uniforms; // length: in loads

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  var tops = F(LOWEST);
  for (var i = lane; i < u.length; i += LANES) { tops = max(tops, x[base + i]); }
  let top = F(row_max(lane, largest(tops)));
  var all = F(0.0);
  for (var i = lane; i < u.length; i += LANES) {
//#if LSE
    // Infinity less itself is 0 here, so that the log-sum-exp is Infinity.
    let same = bitcast<C>(x[base + i]) == bitcast<C>(top);
    all += exp_below(select(x[base + i] - top, F(0.0), same));
//#else
    all += exp_below(x[base + i] - top);
//#end
  }
  let sum = row_sum(lane, total(all));
//#if LSE
  if (lane == 0u) { y[row] = first_of(top) + log(sum); }
//#else
  for (var i = lane; i < u.length; i += LANES) {
//#if LOG
    y[base + i] = (x[base + i] - top) - log(sum);
//#else
    y[base + i] = exp_below(x[base + i] - top) / sum;
//#end
  }
//#end
}
