// The k largest elements of each row with their columns, in descending order; among equal ones the lower column first.
// x [rows, length], values, columns, list [rows, k]; `list` is scratch. Elements are words of any type of 32 bits, compared as
// u32 keys of the same order; the hook gives `keys_of`.
// The k-th largest key is found bit by bit, counting the keys that reach a candidate; then the elements above it are
// collected in the order of columns, then those equal to it, and the former are put at the places of their ranks.
// Frame: rows.wgsl.
struct Uniforms { rows: u32, length: u32, k: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<C>;
@group(0) @binding(1) var<storage, read_write> values: array<u32>;
@group(0) @binding(2) var<storage, read_write> columns: array<u32>;
@group(0) @binding(3) var<storage, read_write> list: array<u32>;
@group(0) @binding(4) var<uniform> u: Uniforms; // length: in loads

//#hook keys
//#if VECTOR
fn part_of(k: C, i: u32) -> u32 { return k[i]; }
//#else
fn part_of(k: C, i: u32) -> u32 { return k; }
//#end
fn word_at(base: u32, column: u32) -> u32 { return part_of(x[base + column / WIDTH], column % WIDTH); }
fn key_at(base: u32, column: u32) -> u32 { return part_of(keys_of(x[base + column / WIDTH]), column % WIDTH); }

//#if SHARED
var<workgroup> shared_counts: array<vec2<u32>, LANES>;
// Sum of the counts of the lanes before this one.
fn before_lane(lane: u32, own: vec2<u32>) -> vec2<u32> {
  shared_counts[lane] = own;
  workgroupBarrier();
  var before = vec2(0u);
  for (var i = 0u; i < lane; i++) { before += shared_counts[i]; }
  return before;
}
fn wait_for_list() { storageBarrier(); }
//#else
fn wait_for_list() {}
fn before_lane(lane: u32, own: vec2<u32>) -> vec2<u32> { return vec2(0u); }
//#end

// How many elements of the row have a key of at least `key`.
fn count_from(lane: u32, base: u32, key: u32) -> u32 {
  var all = F(0.0);
  for (var i = lane; i < u.length; i += LANES) {
    all += select(F(0.0), F(1.0), keys_of(x[base + i]) >= C(key));
  }
  return u32(row_sum(lane, total(all)));
}

// Lists the columns of the lane's stretch with keys above the k-th, then of those equal to it while there is room.
fn collect(lane: u32, base: u32, start: u32, kth: u32, above: u32) {
  let stretch = (u.length + LANES - 1u) / LANES * WIDTH;
  let begin = lane * stretch;
  let end = min(begin + stretch, u.length * WIDTH);
  var counts = vec2(0u);
  for (var c = begin; c < end; c++) {
    let key = key_at(base, c);
    counts += vec2(select(0u, 1u, key > kth), select(0u, 1u, key == kth));
  }
  var at = before_lane(lane, counts);
  for (var c = begin; c < end; c++) {
    let key = key_at(base, c);
    if (key > kth) {
      list[start + at.x] = c;
      at.x++;
    } else if (key == kth) {
      if (above + at.y < u.k) { list[start + above + at.y] = c; }
      at.y++;
    }
  }
}

fn compute_row(row: u32, lane: u32) {
  let base = row * u.length;
  var kth = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    let enough = count_from(lane, base, kth | bit) >= u.k;
    kth = select(kth, kth | bit, enough);
  }
  let above = select(count_from(lane, base, kth + 1u), 0u, kth == 0xffffffffu);
  let start = row * u.k;
  collect(lane, base, start, kth, above);
  wait_for_list();
  for (var i = lane; i < u.k; i += LANES) {
    let column = list[start + i];
    let key = key_at(base, column);
    var rank = select(0u, i, i >= above);
    for (var j = 0u; j < select(above, 0u, i >= above); j++) {
      let other = key_at(base, list[start + j]);
      rank += select(0u, 1u, other > key || (other == key && j < i));
    }
    values[start + rank] = word_at(base, column);
    columns[start + rank] = column;
  }
}
