// Takes elements of rows by column, y[r, i] = x[r, columns[r, i]], or puts them there, y[r, columns[r, i]] = x[r, i].
// columns [rows, length]; the long side, x that is taken from or y that is put into, has rows of `long`. 32-bit words of any
// type. A column beyond the last counts as the last. Frame: flat.wgsl.
const PUT = false;

struct Uniforms { count: u32, length: u32, long: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> columns: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@group(0) @binding(3) var<uniform> u: Uniforms; // count: rows * length

fn compute(id: u32) {
  let far = id / u.length * u.long + min(columns[id], u.long - 1u);
//#if PUT
  y[far] = x[id];
//#else
  y[id] = x[far];
//#end
}
