// Strided copy: y[id] = x[offset + sum over axes of index * stride], an index being that in y, or that after `turn` more,
// around the end. Axes are numbered from y's last one; strides are x's, negative ones modulo 2^32. Words of 32 bits, four at a
// time where both sides keep the last axis. One thread owns one word (or four) of y. Frame: flat.wgsl.
const VECTOR = true;
const TURNS = false;
const RANK = 3u;
//#if VECTOR
alias W = vec4<u32>;
//#else
alias W = u32;
//#end

struct Uniforms {
  count: u32, // in loads, as the offset, the last length and turn, and all strides
  offset: u32,
//#for i 0 RANK
  length$i: u32,
  stride$i: u32,
  turn$i: u32,
//#end
}
@group(0) @binding(0) var<storage, read_write> x: array<W>;
@group(0) @binding(1) var<storage, read_write> y: array<W>;
@group(0) @binding(2) var<uniform> u: Uniforms;

fn compute(id: u32) {
  var rest = id;
  var place = u.offset;
//#for i 0 RANK
//#if TURNS
  let index$i = rest % u.length$i + u.turn$i;
  place += select(index$i, index$i - u.length$i, index$i >= u.length$i) * u.stride$i;
//#else
  place += rest % u.length$i * u.stride$i;
//#end
  rest /= u.length$i;
//#end
  y[id] = x[place];
}
