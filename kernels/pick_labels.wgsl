// y[r] = tile[r, labels[r] - offset] where the tile holds that column, else 0. tile [rows, length], labels, y [rows].
const THREADS = 128u;
struct Uniforms { count: u32, length: u32, offset: u32 }
@group(0) @binding(0) var<storage, read_write> tile: array<f32>;
@group(0) @binding(1) var<storage, read_write> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> u: Uniforms;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = linear_workgroup(group, groups) * THREADS + thread;
  if (id >= u.count) { return; }
  let column = u32(labels[id]) - u.offset; // wraps to a large number below the tile
  if (column < u.length) {
    y[id] = tile[id * u.length + column];
  } else {
    y[id] = 0.0;
  }
}
