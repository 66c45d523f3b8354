// The gradient of a convolution by its weight as conv_weight_grad.wgsl computes it, for CPU adapters with subgroups of 8 and steps of
// 1 along a line: a thread owns all elements of the kernel of one input channel for CHANNELS output channels, and a part of the
// lines of g. As it moves along a line it loads one new column of x, and g once for all elements. With SHARE the threads of a
// subgroup, which is a workgroup, have neighbouring input channels and the same g: each loads 1 / LANES of it.
//   partial [parts, groups * out_channels, in_channels, kernel]; what lies beyond x counts as 0.
const SHARE = true;
const LANES = 8u;
const CHANNELS = 16u;
const FOURS = 4u; // CHANNELS / 4
const KERNEL_X = 3u;
const KERNEL_Y = 3u;
const KEPT = 2u; // KERNEL_Y - 1
const LOADS = 2u; // of g: CHANNELS / LANES, or CHANNELS without SHARE

struct Uniforms {
  count: u32, // parts * groups * blocks * in_channels
  blocks: u32, // of CHANNELS channels in a group
  groups: u32,
  lines: u32, // batch * output.x
  part: u32, // lines of a part
  in_channels: u32, // of a group, as are the following
  out_channels: u32,
  stride_x: u32,
  dilation_x: u32,
  input: vec2<u32>,
  output: vec2<u32>,
  padding: vec2<u32>,
}
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> g: array<f32>;
@group(0) @binding(2) var<uniform> u: Uniforms;
@group(0) @binding(3) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let id = linear_workgroup(group_id, workgroups) * LANES + lane;
  if (id >= u.count) { return; }
  let c = id % u.in_channels;
  let channel = id / u.in_channels % u.blocks * CHANNELS;
  let group = id / u.in_channels / u.blocks % u.groups;
  let part = id / u.in_channels / u.blocks / u.groups;
  let x_area = u.input.x * u.input.y;
  let g_area = u.output.x * u.output.y;

  var g_at: array<u32, LOADS>;
  //#for j 0 LOADS
  {
    //#if SHARE
    let i = $j * LANES + lane;
    //#else
    let i = u32($j);
    //#end
    g_at[$j] = (group * u.out_channels + min(channel + i, u.out_channels - 1u)) * g_area;
  }
  //#end
  var sums: array<vec4<f32>, KERNEL_X * KERNEL_Y * FOURS>;
  let end = min((part + 1u) * u.part, u.lines);
  for (var own = part * u.part; own < end; own++) {
    let n = own / u.output.x;
    let line = own % u.output.x;
    let x_plane = ((n * u.groups + group) * u.in_channels + c) * x_area;
    let g_line = n * u.groups * u.out_channels * g_area + line * u.output.y;
    var v: array<f32, KERNEL_X * KERNEL_Y>; // of x, under the kernel
    var start: array<u32, KERNEL_X>;
    var within: array<bool, KERNEL_X>;
    //#for r 0 KERNEL_X
    {
      let y = line * u.stride_x + $r * u.dilation_x - u.padding.x; // below 0 it wraps
      within[$r] = y < u.input.x;
      start[$r] = x_plane + select(0u, y * u.input.y, within[$r]);
      //#for s 0 KEPT
      {
        let column = u32($s) - u.padding.y;
        let inside = within[$r] && column < u.input.y;
        v[$r * KERNEL_Y + $s] = select(0.0, x[start[$r] + select(0u, column, inside)], inside);
      }
      //#end
    }
    //#end
    for (var q = 0u; q < u.output.y; q++) {
      let column = q + KEPT - u.padding.y;
      //#for r 0 KERNEL_X
      {
        let inside = within[$r] && column < u.input.y;
        v[$r * KERNEL_Y + KEPT] = select(0.0, x[start[$r] + select(0u, column, inside)], inside);
      }
      //#end
      var loaded: array<f32, LOADS>;
      //#for j 0 LOADS
      loaded[$j] = g[g_at[$j] + g_line + q];
      //#end
      //#for f 0 FOURS
      {
        var four: vec4<f32>;
        //#for i 0 4
        //#if SHARE
        four[$i] = subgroupBroadcast(loaded[(4u * $f + $i) / LANES], (4u * $f + $i) % LANES);
        //#else
        four[$i] = loaded[4u * $f + $i];
        //#end
        //#end
        //#for r 0 KERNEL_X
        //#for s 0 KERNEL_Y
        sums[($r * KERNEL_Y + $s) * FOURS + $f] =
          fma(four, vec4(v[$r * KERNEL_Y + $s]), sums[($r * KERNEL_Y + $s) * FOURS + $f]);
        //#end
        //#end
      }
      //#end
      //#for r 0 KERNEL_X
      //#for s 0 KEPT
      v[$r * KERNEL_Y + $s] = v[$r * KERNEL_Y + $s + 1u];
      //#end
      //#end
    }
  }

  let taps = KERNEL_X * KERNEL_Y;
  var first = (((part * u.groups + group) * u.out_channels + channel) * u.in_channels + c) * taps;
  //#for f 0 FOURS
  //#for i 0 4
  if (channel + 4u * $f + $i < u.out_channels) {
    //#for r 0 KERNEL_X
    //#for s 0 KERNEL_Y
    partial[first + $r * KERNEL_Y + $s] = sums[($r * KERNEL_Y + $s) * FOURS + $f][$i];
    //#end
    //#end
  }
  first += u.in_channels * taps;
  //#end
  //#end
}
