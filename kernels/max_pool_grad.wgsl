// The gradient of the largest elements by the image: dx[i] = sum of g over the positions whose `places` name i, in a fixed
// order. g, places [planes, output], dx [planes, input]. One thread owns one element of dx and looks at the positions that
// cover it. Frame: flat.wgsl.
struct Uniforms {
  count: u32, // planes * input
  kernel: vec2<u32>,
  input: vec2<u32>,
  output: vec2<u32>,
  stride: vec2<u32>,
  padding: vec2<u32>,
  dilation: vec2<u32>,
}
@group(0) @binding(0) var<storage, read_write> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> places: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> u: Uniforms;

// The position whose element `tap` is at `i` of an axis; beyond the axis if there is none.
fn position(i: u32, tap: u32, axis: u32) -> u32 {
  let far = i + u.padding[axis] - tap * u.dilation[axis]; // below 0 it wraps
  let hit = far < 0x80000000u && far % u.stride[axis] == 0u;
  return select(0xffffffffu, far / u.stride[axis], hit);
}

fn compute(id: u32) {
  let area = u.input.x * u.input.y;
  let plane = id / area * u.output.x * u.output.y;
  let place = id % area;
  var sum = 0.0;
  for (var r = 0u; r < u.kernel.x; r++) {
    let p = position(place / u.input.y, r, 0u);
    if (p >= u.output.x) { continue; }
    for (var s = 0u; s < u.kernel.y; s++) {
      let q = position(place % u.input.y, s, 1u);
      if (q >= u.output.y) { continue; }
      let at = plane + p * u.output.y + q;
      if (places[at] == place) { sum += g[at]; }
    }
  }
  dx[id] = sum;
}
