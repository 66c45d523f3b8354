// Convolution (correlation, as in deep learning) as a product without its matrix in memory, or its transpose, which is its
// gradient by the input. x [batch, groups * in_channels, input], w by steps, y [batch, groups * out_channels, output]:
//   y[n, o, p] = sum over taps r and channels c of x[n, c, p * stride + r * dilation - padding] * w[o, c, r]
//   TRANSPOSED: x is read at the t with t * stride + r * dilation - padding = p, where there is one.
// What lies beyond x does not count, whatever the weight is. A thread owns CHANNELS channels at 4 neighbouring positions of y, and a part of the sum,
// whose terms are numbered (tap, channel). Frame: flat.wgsl.
const TRANSPOSED = false;
const WIDE = true; // emit takes vec4
const CHANNELS = 4u;
const SHIFTS = 3u; // CHANNELS - 1

struct Uniforms {
  count: u32, // parts * batch * groups * blocks * tiles
  tiles: u32, // of 4 positions
  blocks: u32, // of CHANNELS channels in a group
  groups: u32,
  batch: u32,
  part: u32, // terms of a part
  in_channels: u32, // of a group, as are the following
  out_channels: u32,
  in_step: u32, // elements of w between these channels
  out_step: u32,
  kernel: vec2<u32>,
  input: vec2<u32>,
  output: vec2<u32>,
  stride: vec2<u32>,
  padding: vec2<u32>,
  dilation: vec2<u32>,
}
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<uniform> u: Uniforms;
//#hook emit

// Where x is read for positions `to` of y along an axis; beyond the axis (a difference below 0 wraps) if nowhere.
fn read_at(to: vec4<u32>, tap: u32, axis: u32) -> vec4<u32> {
  //#if TRANSPOSED
  let far = to + u.padding[axis] - tap * u.dilation[axis];
  let hit = (far < vec4(0x80000000u)) & (far % u.stride[axis] == vec4(0u));
  return select(vec4(0xffffffffu), far / u.stride[axis], hit);
  //#else
  return to * u.stride[axis] + tap * u.dilation[axis] - u.padding[axis];
  //#end
}

fn emit_at(first: u32, position: u32, v: vec4<f32>) {
  let area = u.output.x * u.output.y;
  //#if WIDE
  emit(first + position, v);
  //#else
  var rest = v;
  for (var i = 0u; i < min(4u, area - position); i++) {
    emit(first + position + i, rest.x);
    rest = rest.yzww;
  }
  //#end
}

fn compute(id: u32) {
  let position = id % u.tiles * 4u;
  let channel = id / u.tiles % u.blocks * CHANNELS;
  let group = id / u.tiles / u.blocks % u.groups;
  let outer = id / u.tiles / u.blocks / u.groups; // (part, example)
  let positions = position + vec4(0u, 1u, 2u, 3u);
  let lines = positions / u.output.y;
  let columns = positions % u.output.y;
  let area = u.input.x * u.input.y;
  let taps = u.kernel.x * u.kernel.y;
  let x_group = (outer % u.batch * u.groups + group) * u.in_channels * area;
  let w_group = group * u.in_channels * u.out_channels * taps;
  //#for i 0 CHANNELS
  let w$i = w_group + min(channel + $i, u.out_channels - 1u) * u.out_step;
  //#end

  var sums: array<vec4<f32>, CHANNELS>;
  var term = outer / u.batch * u.part;
  let end = min(term + u.part, taps * u.in_channels);
  while (term < end) {
    let tap = term / u.in_channels;
    let c = term % u.in_channels;
    let rest = min(u.in_channels - c, end - term);
    term += rest;
    let line = read_at(lines, tap / u.kernel.y, 0u);
    let column = read_at(columns, tap % u.kernel.y, 1u);
    let inside = (line < vec4(u.input.x)) & (column < vec4(u.input.y));
    if (!any(inside)) { continue; }
    var at = select(vec4(0u), line * u.input.y + column, inside) + x_group + c * area;
    var w_at = c * u.in_step + tap;
    var part = array<vec4<f32>, CHANNELS>(); // of this tap; without a value naga zeroes it only once
    for (var i = 0u; i < rest; i++) {
      let v = vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
      //#for i 0 CHANNELS
      part[$i] = fma(vec4(w[w$i + w_at]), v, part[$i]);
      //#end
      at += area;
      w_at += u.in_step;
    }
    //#for i 0 CHANNELS
    sums[$i] += select(vec4(0.0), part[$i], inside);
    //#end
  }

  // One call of emit in a loop, for what is fused into it is compiled for each: the channels move up to it in turn.
  let own = min(CHANNELS, u.out_channels - channel);
  var first = ((outer * u.groups + group) * u.out_channels + channel) * u.output.x * u.output.y;
  for (var i = 0u; i < own; i++) {
    emit_at(first, position, sums[0]);
    first += u.output.x * u.output.y;
    //#for i 0 SHIFTS
    sums[$i] = sums[$i + 1u];
    //#end
  }
}
