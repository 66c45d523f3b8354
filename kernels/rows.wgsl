// The frame of the row-wise kernels: LANES threads share a row, ROWS rows share a workgroup. A kernel has `u.rows` and defines
// `fn compute_row(row: u32, lane: u32)`, which every thread of a row runs once.
// On CPU adapters a thread has a row for itself and there are no barriers; on GPUs a workgroup has one row and reduces in
// workgroup memory, in a fixed order. A kernel written with `row_sum` and `row_max` is right for both.
const VECTOR = true; // whether rows are read four elements at a time
const SHARED = false; // whether LANES > 1
const LANES = 1u;
const ROWS = 16u;
const THREADS = 16u; // LANES * ROWS
const BLOCK = 64u; // elements that a thread adds up before it adds to the sum of blocks, against rounding

//#if VECTOR
alias F = vec4<f32>;
alias C = vec4<u32>;
const WIDTH = 4u;
fn total(v: F) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn largest(v: F) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn first_of(v: F) -> f32 { return v.x; }
fn element(v: F, i: u32) -> f32 { return v[i]; }
fn columns_of(load: u32) -> C { return load * 4u + C(0u, 1u, 2u, 3u); }
//#else
alias F = f32;
alias C = u32;
const WIDTH = 1u;
fn total(v: F) -> f32 { return v; }
fn largest(v: F) -> f32 { return v; }
fn first_of(v: F) -> f32 { return v; }
fn element(v: F, i: u32) -> f32 { return v; }
fn columns_of(load: u32) -> C { return load; }
//#end

// e to the x for x <= 0 (what rounding lifts above counts as 0), without denormals: the smallest normal f32 is e to the
// -87.34. 0 for -Infinity and NaN for NaN, found by their bits: the limits alone would make ordinary numbers of both.
const EXP_LEAST: f32 = -87.0;
fn exp_below(x: F) -> F {
  let bits = bitcast<C>(x);
  let finite = select(exp(clamp(x, F(EXP_LEAST), F(0.0))), F(0.0), bits == C(0xff800000u));
  return select(finite, x, (bits & C(0x7fffffffu)) > C(0x7f800000u));
}

//#if SHARED
var<workgroup> shared_values: array<f32, LANES>;
fn row_sum(lane: u32, value: f32) -> f32 {
  shared_values[lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { shared_values[lane] += shared_values[lane + half]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&shared_values[0]);
}
fn row_max(lane: u32, value: f32) -> f32 {
  shared_values[lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { shared_values[lane] = max(shared_values[lane], shared_values[lane + half]); }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&shared_values[0]);
}
//#else
fn row_sum(lane: u32, value: f32) -> f32 { return value; }
fn row_max(lane: u32, value: f32) -> f32 { return value; }
//#end

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
//#if SHARED
  let row = linear_workgroup(group, groups);
  let lane = thread;
//#else
  let row = linear_workgroup(group, groups) * ROWS + thread;
  let lane = 0u;
//#end
  if (row >= u.rows) { return; }
  compute_row(row, lane);
}
