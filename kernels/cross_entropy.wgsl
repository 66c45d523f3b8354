// Cross-entropy of rows: lse = top + log(sum of exp(x - top)), loss = (top - x[label]) + log(sum), 0 where the label is
// the ignored one. logits [rows, length], labels, loss, lse [rows]. Frame: rows.wgsl.
struct Uniforms { rows: u32, length: u32, ignored: i32 }
@group(0) @binding(0) var<storage, read_write> logits: array<F>;
@group(0) @binding(1) var<storage, read_write> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;
@group(0) @binding(4) var<uniform> u: Uniforms; // length: in loads

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  var tops = F(LOWEST);
  for (var i = lane; i < u.length; i += LANES) { tops = max(tops, logits[base + i]); }
  let top = row_max(lane, largest(tops));
  var all = F(0.0);
  for (var i = lane; i < u.length; i += LANES) { all += exp_below(logits[base + i] - F(top)); }
  let log_sum = log(row_sum(lane, total(all)));
  if (lane > 0u) { return; }
  lse[row] = top + log_sum;
  let label = labels[row];
  if (label == u.ignored) {
    loss[row] = 0.0;
  } else {
    let column = min(u32(label), u.length * WIDTH - 1u);
    loss[row] = (top - element(logits[base + column / WIDTH], column % WIDTH)) + log_sum;
  }
}
