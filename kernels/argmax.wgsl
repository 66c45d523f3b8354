// Column of the largest key of each row; among equal ones the lowest column. x [rows, length], words of any type of 32 bits,
// y [rows]. The hook gives `keys_of`. Frame: rows.wgsl.
struct Uniforms { rows: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<C>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> u: Uniforms; // length: in loads
//#hook keys

// The better of two (key, column).
fn better(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}
//#if VECTOR
fn best_of(k: C, c: C) -> vec2<u32> {
  return better(better(vec2(k.x, c.x), vec2(k.y, c.y)), better(vec2(k.z, c.z), vec2(k.w, c.w)));
}
//#else
fn best_of(k: C, c: C) -> vec2<u32> { return vec2(k, c); }
//#end

//#if SHARED
var<workgroup> shared_best: array<vec2<u32>, LANES>;
fn row_best(lane: u32, own: vec2<u32>) -> vec2<u32> {
  shared_best[lane] = own;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { shared_best[lane] = better(shared_best[lane], shared_best[lane + half]); }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&shared_best[0]);
}
//#else
fn row_best(lane: u32, own: vec2<u32>) -> vec2<u32> { return own; }
//#end

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  var keys = C(0u);
  var columns = C(0xffffffffu); // a lane without elements loses against any
  for (var i = lane; i < u.length; i += LANES) {
    let key = keys_of(x[base + i]);
    let wins = (key > keys) | (columns == C(0xffffffffu));
    columns = select(columns, columns_of(i), wins);
    keys = select(keys, key, wins);
  }
  let best = row_best(lane, best_of(keys, columns));
  if (lane == 0u) { y[row] = best.y; }
}
