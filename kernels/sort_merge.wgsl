// Merges neighbouring runs of sorted keys in pairs, stable: an element's place is its own in its run and the number of
// elements of the other run that come before it, found by bisection. keys, columns, and their results [rows, length]; runs
// have `run` elements, the last of a row fewer. Frame: flat.wgsl.
struct Uniforms { count: u32, length: u32, run: u32 }
@group(0) @binding(0) var<storage, read_write> keys: array<u32>;
@group(0) @binding(1) var<storage, read_write> columns: array<u32>;
@group(0) @binding(2) var<storage, read_write> merged_keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> merged_columns: array<u32>;
@group(0) @binding(4) var<uniform> u: Uniforms; // count: rows * length

fn compute(id: u32) {
  let at = id % u.length;
  let base = id - at;
  let own_run = at / u.run;
  let own = keys[id];
  let second = own_run % 2u == 1u; // of equal keys, those of the first run come first
  let other_begin = min(select(own_run + 1u, own_run - 1u, second) * u.run, u.length);
  var low = other_begin;
  var high = min(other_begin + u.run, u.length);
  while (low < high) {
    let middle = (low + high) / 2u;
    let other = keys[base + middle];
    if (other < own || (second && other == own)) { low = middle + 1u; } else { high = middle; }
  }
  let place = base + own_run / 2u * 2u * u.run + at % u.run + (low - other_begin);
  merged_keys[place] = own;
  merged_columns[place] = columns[id];
}
