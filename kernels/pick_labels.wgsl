// y[r] = tile[r, labels[r] - offset] where the tile holds that column, else 0. tile [rows, length], labels, y [rows].
// Frame: flat.wgsl.
struct Uniforms { count: u32, length: u32, offset: u32 }
@group(0) @binding(0) var<storage, read_write> tile: array<f32>;
@group(0) @binding(1) var<storage, read_write> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> u: Uniforms;

fn compute(id: u32) {
  let column = u32(labels[id]) - u.offset; // wraps to a large number below the tile
  if (column < u.length) {
    y[id] = tile[id * u.length + column];
  } else {
    y[id] = 0.0;
  }
}
