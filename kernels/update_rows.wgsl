// Replaces rows of a ring: y[(start + n) % length] = rows[n] for n < count; the other rows are target's.
// target, y [length, words], rows [count, words], start [1]; words of 32 bits, four at a time where they divide by it.
// IN_PLACE: y is target, and only the replaced rows are written. One thread owns one word (or four) of what it writes.
const THREADS = 128u;
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

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = linear_workgroup(group, groups) * THREADS + thread;
  if (id >= u.count) { return; }
  let row = (start[0] % u.length + id / u.words) % u.length;
  y[row * u.words + id % u.words] = rows[id];
}
//#else
@group(0) @binding(4) var<storage, read_write> before: array<W>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = linear_workgroup(group, groups) * THREADS + thread;
  if (id >= u.count) { return; }
  let n = (id / u.words + u.length - start[0] % u.length) % u.length;
  if (n < u.rows) {
    y[id] = rows[n * u.words + id % u.words];
  } else {
    y[id] = before[id];
  }
}
//#end
