// Puts x at regular places of y, and `fill` elsewhere: along an axis of y, number k of the `held` elements of x is at
// first + k * step. Axes are numbered from y's last one; strides are x's, negative ones modulo 2^32. Words of 32 bits, four at a
// time where both sides keep the last axis. One thread owns one word (or four) of y. Frame: flat.wgsl.
const VECTOR = true;
const RANK = 3u;
//#if VECTOR
alias W = vec4<u32>;
//#else
alias W = u32;
//#end

struct Uniforms {
  count: u32, // in loads, as the offset, all strides, and the last length, first and held
  offset: u32,
  fill: u32,
//#for i 0 RANK
  length$i: u32,
  first$i: u32,
  step$i: u32,
  held$i: u32,
  stride$i: u32,
//#end
}
@group(0) @binding(0) var<storage, read_write> x: array<W>;
@group(0) @binding(1) var<storage, read_write> y: array<W>;
@group(0) @binding(2) var<uniform> u: Uniforms;

fn compute(id: u32) {
  var rest = id;
  var place = u.offset;
  var inside = true;
//#for i 0 RANK
  let from$i = rest % u.length$i - u.first$i; // before the first: round 2^32, far behind those held
  inside = inside && from$i % u.step$i == 0u && from$i / u.step$i < u.held$i;
  place += from$i / u.step$i * u.stride$i;
  rest /= u.length$i;
//#end
  var word = W(u.fill);
  if (inside) { word = x[place]; }
  y[id] = word;
}
