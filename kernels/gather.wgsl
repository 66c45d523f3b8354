// Copies rows: y[n] = table[ids[n]]. table [rows, words], ids [n], y [n, words]; rows of 32-bit words of any type. An id
// beyond the last row reads the last row. One thread owns one word (or four) of y. Frame: flat.wgsl.
const VECTOR = true;
//#if VECTOR
alias W = vec4<u32>;
//#else
alias W = u32;
//#end

struct Uniforms { count: u32, words: u32, rows: u32 }
@group(0) @binding(0) var<storage, read_write> table: array<W>;
@group(0) @binding(1) var<storage, read_write> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<W>;
@group(0) @binding(3) var<uniform> u: Uniforms; // count, words: in loads

fn compute(id: u32) {
  let row = min(ids[id / u.words], u.rows - 1u);
  y[id] = table[row * u.words + id % u.words];
}
