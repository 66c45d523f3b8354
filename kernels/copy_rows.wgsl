// Copies a block of each row: y[r * to_stride + to_offset + c] = x[r * from_stride + from_offset + c], r < rows, c < columns.
// x, y: 32-bit words of any type; one thread owns one of them. Slices, concatenations and unaligned views are made of it.
// Frame: flat.wgsl.
struct Uniforms {
  count: u32, // rows * columns
  columns: u32,
  from_stride: u32,
  from_offset: u32,
  to_stride: u32,
  to_offset: u32,
}
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> u: Uniforms;

fn compute(id: u32) {
  let row = id / u.columns;
  let column = id % u.columns;
  y[row * u.to_stride + u.to_offset + column] = x[row * u.from_stride + u.from_offset + column];
}
