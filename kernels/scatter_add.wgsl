// Adds rows up by id: y[v] = sum of x[n] over ids[n] == v, in the order of n; 0 for the padding row and where there is none.
// x [count, width], y [rows, width]; sorted, order [count] from sort_ids.wgsl. LANES threads own a stripe of a row of y: they
// find the row's ids by bisection and add up, each in its own columns.
const THREADS = 16u;
const LANES = 8u;
const VECTOR = true;
//#if VECTOR
alias F = vec4<f32>;
//#else
alias F = f32;
//#end

struct Uniforms { count: u32, rows: u32, width: u32, stripe: u32, stripes: u32, padding: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> sorted: array<u32>;
@group(0) @binding(2) var<storage, read_write> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<F>;
@group(0) @binding(4) var<uniform> u: Uniforms; // width, stripe: in loads

// The first place in `sorted` whose id is not below `id`.
fn lower_bound(id: u32) -> u32 {
  var low = 0u;
  var high = u.count;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (sorted[middle] < id) { low = middle + 1u; } else { high = middle; }
  }
  return low;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let part = (linear_workgroup(group, groups) * THREADS + thread) / LANES;
  let row = part / u.stripes;
  if (row >= u.rows) { return; }
  let begin = lower_bound(row);
  var end = begin;
  if (begin < u.count && sorted[begin] == row && row != u.padding) { end = lower_bound(row + 1u); }
  let first = part % u.stripes * u.stripe;
  for (var c = first + thread % LANES; c < min(first + u.stripe, u.width); c += LANES) {
    var all = F(0.0);
    for (var k = begin; k < end; k++) { all += x[order[k] * u.width + c]; }
    y[row * u.width + c] = all;
  }
}
