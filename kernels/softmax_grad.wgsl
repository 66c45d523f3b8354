// Input gradient of the softmax, dx = y * (dy - sum(y * dy)), or of the log-softmax, dx = dy - exp(y) * sum(dy).
// y, dy, dx [rows, length]; sums over the row.
const LOG = false;

struct Uniforms { rows: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> y: array<F>;
@group(0) @binding(1) var<storage, read_write> dy: array<F>;
@group(0) @binding(2) var<storage, read_write> dx: array<F>;
@group(0) @binding(3) var<uniform> u: Uniforms; // length: in loads

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = row_of(linear_workgroup(group, groups), thread);
  if (row >= u.rows) { return; }
  let lane = lane_of(thread);
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
    dx[base + i] = dy[base + i] - exp_below(y[base + i]) * sum;
//#else
    dx[base + i] = y[base + i] * (dy[base + i] - sum);
//#end
  }
}
