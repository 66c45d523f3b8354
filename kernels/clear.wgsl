// Sets words to 0: the gaps between parameters in a flat buffer of gradients. y [words]. One thread owns 4 words.
const THREADS = 64u;

struct Uniforms { words: u32 }
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<uniform> u: Uniforms;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (linear_workgroup(group, groups) * THREADS + thread) * 4u;
  for (var i = first; i < min(first + 4u, u.words); i++) {
    y[i] = 0u;
  }
}
