// Second pass of a matrix product with its inner axis cut into parts: result[i] = sum over p of partial[p, i], always in
// the same order. One thread owns one result, or 4 of them in a vec4 if WIDE.
const WIDE = true;
const THREADS = 64u;

struct Sizes {
  results: u32, // in elements
  parts: u32,
}

//#if WIDE
@group(0) @binding(0) var<storage, read_write> partial: array<vec4<f32>>;
//#else
@group(0) @binding(0) var<storage, read_write> partial: array<f32>;
//#end
@group(0) @binding(1) var<uniform> sizes: Sizes;
//#hook emit

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
  let width = select(1u, 4u, WIDE);
  let i = linear_workgroup(group, groups) * THREADS + thread;
  let step = sizes.results / width;
  if (i >= step) { return; }
  var sum = partial[i];
  for (var p = 1u; p < sizes.parts; p++) { sum += partial[p * step + i]; }
  emit(i * width, sum);
}
