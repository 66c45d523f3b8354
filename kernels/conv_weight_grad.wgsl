// The gradient of a convolution by its weight, a correlation of the input with the gradient of the result:
//   dw[o, c, r] = sum over examples n and positions p of g[n, o, p] * x[n, c, p * stride + r * dilation - padding]
// x [batch, groups * in_channels, input], g [batch, groups * out_channels, output], dw [groups * out_channels, in_channels, kernel];
// what lies beyond x counts as 0. A thread owns CHANNELS channels o at 4 neighbouring (c, r), and a part of the sum, whose
// terms are numbered (n, p). Frame: flat.wgsl.
const CHANNELS = 4u;
const SHIFTS = 3u; // CHANNELS - 1

struct Uniforms {
  count: u32, // parts * groups * blocks * tiles
  tiles: u32, // of 4 (c, r)
  blocks: u32, // of CHANNELS channels in a group
  groups: u32,
  batch: u32,
  part: u32, // terms of a part
  in_channels: u32, // of a group, as are the following
  out_channels: u32,
  kernel: vec2<u32>,
  input: vec2<u32>,
  output: vec2<u32>,
  stride: vec2<u32>,
  padding: vec2<u32>,
  dilation: vec2<u32>,
}
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> g: array<f32>;
@group(0) @binding(2) var<uniform> u: Uniforms;
//#hook emit

fn compute(id: u32) {
  let taps = u.kernel.x * u.kernel.y;
  let width = u.in_channels * taps;
  let column = id % u.tiles * 4u;
  let channel = id / u.tiles % u.blocks * CHANNELS;
  let group = id / u.tiles / u.blocks % u.groups;
  let part = id / u.tiles / u.blocks / u.groups;
  let x_area = u.input.x * u.input.y;
  let g_area = u.output.x * u.output.y;
  let columns = min(column + vec4(0u, 1u, 2u, 3u), vec4(width - 1u));
  let top = columns / u.kernel.y % u.kernel.x * u.dilation.x - u.padding.x; // below 0 it wraps, until a line is added
  let left = columns % u.kernel.y * u.dilation.y - u.padding.y;
  let x_group = (group * u.in_channels + columns / taps) * x_area;
  //#for i 0 CHANNELS
  let g$i = (group * u.out_channels + min(channel + $i, u.out_channels - 1u)) * g_area;
  //#end

  var sums: array<vec4<f32>, CHANNELS>;
  let begin = part * u.part;
  let end = min(begin + u.part, u.batch * g_area);
  var n = begin / g_area;
  var p = vec2(begin % g_area / u.output.y, begin % u.output.y);
  for (var term = begin; term < end; term++) {
    let y = p.x * u.stride.x + top;
    let z = p.y * u.stride.y + left;
    let inside = (y < vec4(u.input.x)) & (z < vec4(u.input.y));
    let at = select(vec4(0u), y * u.input.y + z, inside) + x_group + n * u.groups * u.in_channels * x_area;
    let v = select(vec4(0.0), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
    let g_at = n * u.groups * u.out_channels * g_area + p.x * u.output.y + p.y;
    //#for i 0 CHANNELS
    sums[$i] = fma(vec4(g[g$i + g_at]), v, sums[$i]);
    //#end
    p.y++;
    if (p.y == u.output.y) { p = vec2(p.x + 1u, 0u); }
    if (p.x == u.output.x) {
      p.x = 0u;
      n++;
    }
  }

  let own = min(CHANNELS, u.out_channels - channel);
  var first = ((part * u.groups + group) * u.out_channels + channel) * width + column;
  for (var i = 0u; i < own; i++) {
    var rest = sums[0];
    for (var j = 0u; j < min(4u, width - column); j++) {
      emit(first + j, rest.x);
      rest = rest.yzww;
    }
    first += width;
    //#for i 0 SHIFTS
    sums[$i] = sums[$i + 1u];
    //#end
  }
}
