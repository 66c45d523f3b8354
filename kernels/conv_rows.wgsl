// Convolution as conv.wgsl computes it, for CPU adapters with subgroups of 8 and steps of 1 along a line; its transpose where all
// steps are 1. There loads cost and arithmetic does not: a thread keeps a segment of a line of y for CHANNELS channels, and a
// segment of x serves all of them and all KERNEL_Y columns of the kernel. The weights are the same for all threads of a subgroup,
// which is a workgroup: each loads 1 / LANES of them, and the others take them by subgroupBroadcast.
//
// What lies beyond x is 0 here, times a weight; where a weight is not finite, sums that are emitted are computed once more, plainly.
const TRANSPOSED = false;
const WIDE = true; // emit takes vec4
const LANES = 8u;
const CHANNELS = 16u;
const KERNEL_Y = 3u;
const VECS = 2u; // vec4 of a segment of y
const VALUES = 10u; // of x under such a segment: 4 * VECS + KERNEL_Y - 1
const LOADS = 6u; // of weights: KERNEL_Y * CHANNELS / LANES, rounded up
const SHIFTS = 30u; // (CHANNELS - 1) * VECS

struct Uniforms {
  workgroups: u32, // groups * blocks * across
  across: u32, // positions / LANES, rounded up
  positions: u32, // batch * lines of y * tiles
  tiles: u32, // segments of a line of y
  blocks: u32, // of CHANNELS channels in a group
  groups: u32,
  in_channels: u32, // of a group, as are the following
  out_channels: u32,
  in_step: u32, // elements of w between these channels
  out_step: u32,
  kernel_x: u32,
  stride_x: u32,
  dilation_x: u32,
  input: vec2<u32>,
  output: vec2<u32>,
  padding: vec2<u32>,
}
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<uniform> u: Uniforms;
//#hook emit

// Where a line or column of the kernel reads x for a position of y; beyond x (a difference below 0 wraps) if nowhere.
fn line_at(line: u32, tap: u32) -> u32 {
  //#if TRANSPOSED
  return line + u.padding.x - tap * u.dilation_x;
  //#else
  return line * u.stride_x + tap * u.dilation_x - u.padding.x;
  //#end
}
fn columns_at(column: u32, tap: u32) -> vec4<u32> {
  //#if TRANSPOSED
  return column + vec4(0u, 1u, 2u, 3u) + u.padding.y - tap;
  //#else
  return column + vec4(0u, 1u, 2u, 3u) + tap - u.padding.y;
  //#end
}

fn is_finite(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u;
}

// The sums of a channel at 4 columns, one by one.
fn plain_sums(x_group: u32, w_channel: u32, line: u32, column: u32) -> vec4<f32> {
  var sum = vec4(0.0);
  for (var term = 0u; term < u.in_channels * u.kernel_x * KERNEL_Y; term++) {
    let tap = term % (u.kernel_x * KERNEL_Y);
    let c = term / (u.kernel_x * KERNEL_Y);
    let y = line_at(line, tap / KERNEL_Y);
    let columns = columns_at(column, tap % KERNEL_Y);
    let inside = (columns < vec4(u.input.y)) & vec4(y < u.input.x);
    let at = x_group + c * u.input.x * u.input.y + select(vec4(0u), y * u.input.y + columns, inside);
    sum = select(sum, fma(vec4(w[w_channel + c * u.in_step + tap]), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), sum), inside);
  }
  return sum;
}

fn emit_at(first: u32, column: u32, v: vec4<f32>) {
  //#if WIDE
  if (column < u.output.y) { emit(first + column, v); }
  //#else
  var rest = v;
  for (var i = column; i < min(column + 4u, u.output.y); i++) {
    emit(first + i, rest.x);
    rest = rest.yzww;
  }
  //#end
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let own = linear_workgroup(group_id, groups);
  if (own >= u.workgroups) { return; }
  let block = own / u.across;
  let channel = block % u.blocks * CHANNELS;
  let group = block / u.blocks;
  let id = own % u.across * LANES + lane;
  let position = min(id, u.positions - 1u); // a thread beyond them loads weights for the others
  let column = position % u.tiles * 4u * VECS;
  let line = position / u.tiles % u.output.x;
  let n = position / u.tiles / u.output.x;
  let area = u.input.x * u.input.y;
  let x_group = (n * u.groups + group) * u.in_channels * area;
  let w_group = group * u.in_channels * u.out_channels * u.kernel_x * KERNEL_Y;

  var w_at: array<u32, LOADS>; // of the first line of the kernel
  //#for j 0 LOADS
  {
    let e = min($j * LANES + lane, KERNEL_Y * CHANNELS - 1u);
    w_at[$j] = w_group + min(channel + e % CHANNELS, u.out_channels - 1u) * u.out_step + e / CHANNELS;
  }
  //#end
  //#if TRANSPOSED
  let left = column + u.padding.y - (KERNEL_Y - 1u);
  //#else
  let left = column - u.padding.y;
  //#end
  var inside: array<bool, VALUES>;
  var x_at: array<u32, VALUES>;
  //#for k 0 VALUES
  inside[$k] = left + $k < u.input.y;
  x_at[$k] = select(0u, left + $k, inside[$k]);
  //#end

  var sums: array<vec4<f32>, CHANNELS * VECS>;
  var finite = true;
  for (var c = 0u; c < u.in_channels; c++) {
    for (var r = 0u; r < u.kernel_x; r++) {
      let y = line_at(line, r);
      let within = y < u.input.x;
      let start = x_group + c * area + select(0u, y * u.input.y, within);
      var v: array<f32, VALUES>;
      //#for k 0 VALUES
      v[$k] = select(0.0, x[start + x_at[$k]], inside[$k] && within);
      //#end
      var weights: array<f32, LOADS>;
      //#for j 0 LOADS
      weights[$j] = w[w_at[$j] + c * u.in_step + r * KERNEL_Y];
      finite = finite && is_finite(weights[$j]);
      //#end
      //#for s 0 KERNEL_Y
      //#for i 0 CHANNELS
      {
        let weight = vec4(subgroupBroadcast(weights[($s * CHANNELS + $i) / LANES], ($s * CHANNELS + $i) % LANES));
        //#for q 0 VECS
        {
          //#if TRANSPOSED
          const at = 4u * $q + KERNEL_Y - 1u - $s;
          //#else
          const at = 4u * $q + $s;
          //#end
          sums[$i * VECS + $q] = fma(weight, vec4(v[at], v[at + 1u], v[at + 2u], v[at + 3u]), sums[$i * VECS + $q]);
        }
        //#end
      }
      //#end
      //#end
    }
  }
  let exact = subgroupAll(finite);
  if (id >= u.positions) { return; }

  // One call of emit for each vec4, in a loop, for what is fused into it is compiled for each: the channels move up in turn.
  let plane = u.output.x * u.output.y;
  var first = ((n * u.groups + group) * u.out_channels + channel) * plane + line * u.output.y;
  for (var i = channel; i < min(channel + CHANNELS, u.out_channels); i++) {
    if (!exact) {
      //#for q 0 VECS
      sums[$q] = plain_sums(x_group, w_group + i * u.out_step, line, column + 4u * $q);
      //#end
    }
    //#for q 0 VECS
    emit_at(first, column + 4u * $q, sums[$q]);
    //#end
    first += plane;
    //#for j 0 SHIFTS
    sums[$j] = sums[$j + VECS];
    //#end
  }
}
