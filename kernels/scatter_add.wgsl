// Adds rows up by id: y[o, v] = sum of x[o, n] over ids[n] == v, in the order of n; 0 for the padding row and where there is
// none. x [outer, ids, width], y [outer, rows, width]; sorted, order: the ids in order and where each was, [ids], or
// [outer, ids] where each o has its own, which lie `apart`. LANES threads own a stripe of a row of y: they find the row's ids by
// bisection and add up, each in its own columns. Frame: flat.wgsl.
const LANES = 8u;
const VECTOR = true;
//#if VECTOR
alias F = vec4<f32>;
//#else
alias F = f32;
//#end

struct Uniforms {
  count: u32, // outer * rows * stripes * LANES
  ids: u32,
  apart: u32, // ids, or 0
  rows: u32,
  width: u32, // in loads, as the stripe
  stripe: u32,
  stripes: u32,
  padding: u32,
}
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> sorted: array<u32>;
@group(0) @binding(2) var<storage, read_write> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<F>;
@group(0) @binding(4) var<uniform> u: Uniforms;

// The first place in `sorted`, from `start` on, whose id is not below `id`.
fn lower_bound(start: u32, id: u32) -> u32 {
  var low = start;
  var high = start + u.ids;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (sorted[middle] < id) { low = middle + 1u; } else { high = middle; }
  }
  return low;
}

fn compute(id: u32) {
  let part = id / LANES;
  let out = part / u.stripes;
  let row = out % u.rows;
  let outer = out / u.rows;
  let start = outer * u.apart;
  let begin = lower_bound(start, row);
  var end = begin;
  if (begin < start + u.ids && sorted[begin] == row && row != u.padding) { end = lower_bound(start, row + 1u); }
  let first = part % u.stripes * u.stripe;
  for (var c = first + id % LANES; c < min(first + u.stripe, u.width); c += LANES) {
    var all = F(0.0);
    for (var k = begin; k < end; k++) { all += x[(outer * u.ids + order[k]) * u.width + c]; }
    y[out * u.width + c] = all;
  }
}
