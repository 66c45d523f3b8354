// The largest element of each position of a window, and its place (line * width + column) in the image: the first NaN if there
// is one, else the first of equals. What lies beyond the image does not count, and every position covers an element.
// x [planes, input], y, places [planes, output]. One thread owns one position. Frame: flat.wgsl.
const SMALL = true; // count is below 2^24
const KERNEL_X = 2u; // constants, for loops that compilers unroll
const KERNEL_Y = 2u;

struct Uniforms {
  count: u32, // planes * output
  input: vec2<u32>,
  output: vec2<u32>,
  stride: vec2<u32>,
  padding: vec2<u32>,
  dilation: vec2<u32>,
}
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> places: array<u32>;
@group(0) @binding(3) var<uniform> u: Uniforms;

const NOWHERE = 0xffffffffu;

// By its bits: WGSL may assume that there is no NaN.
fn is_nan(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

fn divide(n: u32, d: u32) -> u32 {
  //#if SMALL
  return quotient(n, d);
  //#else
  return n / d;
  //#end
}

fn compute(id: u32) {
  let own = divide(id, u.output.y); // line of all planes
  let outer = divide(own, u.output.x);
  let plane = outer * u.input.x * u.input.y;
  let top = (own - outer * u.output.x) * u.stride.x - u.padding.x; // below 0 it wraps
  let left = (id - own * u.output.y) * u.stride.y - u.padding.y;
  var best = 0.0;
  var place = NOWHERE;
  for (var r = 0u; r < KERNEL_X; r++) {
    let line = top + r * u.dilation.x;
    if (line >= u.input.x) { continue; }
    for (var s = 0u; s < KERNEL_Y; s++) {
      let column = left + s * u.dilation.y;
      if (column >= u.input.y) { continue; }
      let at = line * u.input.y + column;
      let v = x[plane + at];
      if (place == NOWHERE || (!is_nan(best) && (is_nan(v) || v > best))) {
        best = v;
        place = at;
      }
    }
  }
  y[id] = best;
  places[id] = place;
}
