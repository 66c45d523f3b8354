// The frame of the kernels in which every thread works for itself: they have `u.count`, the number of threads that have work,
// and define `fn compute(id: u32)`, which each of these runs once.
const THREADS = 128u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = linear_workgroup(group, groups) * THREADS + thread;
  if (id >= u.count) { return; }
  compute(id);
}
