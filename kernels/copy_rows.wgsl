// Copies a block of each row: to[r * toStride + toOffset + c] = from[r * fromStride + fromOffset + c], r < rows, c < columns.
// One thread per element; 32-bit words of any type. Slices, concatenations and unaligned views are made of it.
struct Params { rows: u32, columns: u32, fromStride: u32, fromOffset: u32, toStride: u32, toOffset: u32 }

@group(0) @binding(0) var<storage, read_write> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = linear_workgroup(id, count) * 64u + lane;
  if (i >= p.rows * p.columns) { return; }
  let row = i / p.columns;
  let column = i % p.columns;
  target_[row * p.toStride + p.toOffset + column] = source[row * p.fromStride + p.fromOffset + column];
}
