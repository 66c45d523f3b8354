// Sets words to 0: the gaps between parameters in a flat buffer of gradients. Four words a thread.
struct Params { words: u32 }

@group(0) @binding(0) var<storage, read_write> target_: array<u32>;
@group(0) @binding(1) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = (linear_workgroup(id, count) * 64u + lane) * 4u;
  for (var i = first; i < min(first + 4u, p.words); i++) {
    target_[i] = 0u;
  }
}
