// The gradient of the largest elements by the image: x_grad[i] = sum of g over the positions whose `places` name i, in a fixed
// order. g, places [planes, output], x_grad [planes, input]. One thread owns one element of x_grad and looks at the positions that
// cover it. Frame: flat.wgsl.
const STRIDE_X = 2u; // constants, for which compilers divide by products
const STRIDE_Y = 2u;

struct Uniforms {
  count: u32, // planes * input
  kernel: vec2<u32>,
  input: vec2<u32>,
  output: vec2<u32>,
  padding: vec2<u32>,
  dilation: vec2<u32>,
}
@group(0) @binding(0) var<storage, read_write> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> places: array<u32>;
@group(0) @binding(2) var<storage, read_write> x_grad: array<f32>;
@group(0) @binding(3) var<uniform> u: Uniforms;

fn compute(id: u32) {
  let area = u.input.x * u.input.y;
  let plane = id / area * u.output.x * u.output.y;
  let place = id % area;
  let line = place / u.input.y + u.padding.x;
  let column = place % u.input.y + u.padding.y;
  var sum = 0.0;
  for (var r = 0u; r < u.kernel.x; r++) {
    let down = line - r * u.dilation.x; // from the first position; below 0 it wraps
    let p = down / STRIDE_X;
    if (p >= u.output.x || p * STRIDE_X != down) { continue; }
    for (var s = 0u; s < u.kernel.y; s++) {
      let right = column - s * u.dilation.y;
      let q = right / STRIDE_Y;
      if (q >= u.output.y || q * STRIDE_Y != right) { continue; }
      let at = plane + p * u.output.y + q;
      if (places[at] == place) { sum += g[at]; }
    }
  }
  x_grad[id] = sum;
}
