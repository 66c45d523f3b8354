// Adds rows up by id: y[v] = sum of x[n] over ids[n] == v, in the order of n; 0 for the padding row and where there is none.
// x [ids, width], y [rows, width]; sorted, order [ids] from sort_ids.wgsl. LANES threads own a stripe of a row of y: they
// find the row's ids by bisection and add up, each in its own columns. Frame: flat.wgsl.
const LANES = 8u;
const VECTOR = true;
//#if VECTOR
alias F = vec4<f32>;
//#else
alias F = f32;
//#end

struct Uniforms { count: u32, ids: u32, width: u32, stripe: u32, stripes: u32, padding: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> sorted: array<u32>;
@group(0) @binding(2) var<storage, read_write> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<F>;
@group(0) @binding(4) var<uniform> u: Uniforms; // count: rows * stripes * LANES; width, stripe: in loads

// The first place in `sorted` whose id is not below `id`.
fn lower_bound(id: u32) -> u32 {
  var low = 0u;
  var high = u.ids;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (sorted[middle] < id) { low = middle + 1u; } else { high = middle; }
  }
  return low;
}

fn compute(id: u32) {
  let part = id / LANES;
  let row = part / u.stripes;
  let begin = lower_bound(row);
  var end = begin;
  if (begin < u.ids && sorted[begin] == row && row != u.padding) { end = lower_bound(row + 1u); }
  let first = part % u.stripes * u.stripe;
  for (var c = first + id % LANES; c < min(first + u.stripe, u.width); c += LANES) {
    var all = F(0.0);
    for (var k = begin; k < end; k++) { all += x[order[k] * u.width + c]; }
    y[row * u.width + c] = all;
  }
}
