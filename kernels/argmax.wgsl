// Index of the largest element of each row; among equal ones the lowest index. x [rows, length], y [rows].
// Frame: rows.wgsl.
struct Uniforms { rows: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> u: Uniforms; // length: in loads

//#if VECTOR
fn lowest(c: C) -> u32 { return min(min(c.x, c.y), min(c.z, c.w)); }
//#else
fn lowest(c: C) -> u32 { return c; }
//#end

//#if SHARED
var<workgroup> shared_columns: array<u32, LANES>;
fn row_min_column(lane: u32, column: u32) -> u32 {
  shared_columns[lane] = column;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { shared_columns[lane] = min(shared_columns[lane], shared_columns[lane + half]); }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&shared_columns[0]);
}
//#else
fn row_min_column(lane: u32, column: u32) -> u32 { return column; }
//#end

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  var tops = F(LOWEST);
  var columns = C(0u);
  for (var i = lane; i < u.length; i += LANES) {
    let v = x[base + i];
    let better = v > tops;
    columns = select(columns, columns_of(i), better);
    tops = select(tops, v, better);
  }
  let top = row_max(lane, largest(tops));
  // A lane that never met an element above the start value has column 0, and no right to it unless all have.
  let mine = lowest(select(C(u.length * WIDTH), columns, tops == F(top)));
  let column = row_min_column(lane, mine);
  if (lane == 0u) { y[row] = column; }
}
