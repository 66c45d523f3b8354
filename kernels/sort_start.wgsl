// Begins to sort rows: writes the keys of the elements and their columns, sorted within blocks of 16. Thread i counts the
// elements of its block that come before its own, by (key, column), and writes at that place. x [rows, length], words of any
// type of 32 bits; keys, columns [rows, length]. The hook gives `keys_of`. Frame: flat.wgsl.
const BLOCK = 16u;
alias C = u32;
//#hook keys

struct Uniforms { count: u32, length: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> keys: array<u32>;
@group(0) @binding(2) var<storage, read_write> columns: array<u32>;
@group(0) @binding(3) var<uniform> u: Uniforms; // count: rows * length

fn compute(id: u32) {
  let column = id % u.length;
  let base = id - column;
  let begin = column / BLOCK * BLOCK;
  let own = keys_of(x[id]);
  var rank = begin;
  for (var c = begin; c < min(begin + BLOCK, u.length); c++) {
    let other = keys_of(x[base + c]);
    rank += select(0u, 1u, other < own || (other == own && c < column));
  }
  keys[base + rank] = own;
  columns[base + rank] = column;
}
