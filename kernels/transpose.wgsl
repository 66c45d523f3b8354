// Strided copy: y[id] = x[sum over axes of index * stride]. Axes are numbered from y's last one; strides are x's. Words of
// 32 bits, four at a time where both sides keep the last axis. One thread owns one word (or four) of y. Frame: flat.wgsl.
const VECTOR = true;
const RANK = 3u;
//#if VECTOR
alias W = vec4<u32>;
//#else
alias W = u32;
//#end

struct Uniforms {
  count: u32, // in loads, as the last length and all strides
//#for i 0 RANK
  length$i: u32,
  stride$i: u32,
//#end
}
@group(0) @binding(0) var<storage, read_write> x: array<W>;
@group(0) @binding(1) var<storage, read_write> y: array<W>;
@group(0) @binding(2) var<uniform> u: Uniforms;

fn compute(id: u32) {
  var rest = id;
  var place = 0u;
//#for i 0 RANK
  place += rest % u.length$i * u.stride$i;
  rest /= u.length$i;
//#end
  y[id] = x[place];
}
