// Replaces rows of a ring: y[(start + n) % length] = rows[n] for n < count; the other rows are target's.
// target, y [length, words], rows [count, words], start [1]; words of 32 bits, four at a time where they divide by it.
// IN_PLACE: y is target, and only the replaced rows are written. One thread owns one word (or four) of what it writes.
// Frame: flat.wgsl.
const VECTOR = true;
const IN_PLACE = false;
//#if VECTOR
alias W = vec4<u32>;
//#else
alias W = u32;
//#end

struct Uniforms { count: u32, words: u32, length: u32, rows: u32 }
@group(0) @binding(0) var<storage, read_write> y: array<W>;
@group(0) @binding(1) var<storage, read_write> rows: array<W>;
@group(0) @binding(2) var<storage, read_write> start: array<u32>;
@group(0) @binding(3) var<uniform> u: Uniforms; // count, words: in loads
//#if IN_PLACE

fn compute(id: u32) {
  let row = (start[0] % u.length + id / u.words) % u.length;
  y[row * u.words + id % u.words] = rows[id];
}
//#else
@group(0) @binding(4) var<storage, read_write> before: array<W>;

fn compute(id: u32) {
  let n = (id / u.words + u.length - start[0] % u.length) % u.length;
  if (n < u.rows) {
    y[id] = rows[n * u.words + id % u.words];
  } else {
    y[id] = before[id];
  }
}
//#end
