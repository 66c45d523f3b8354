// Put before every kernel that asks for it by `withPrelude`.

// A mask that survives additions without becoming infinite (WGSL may assume that infinities and NaN do not occur).
const MASKED: f32 = -1e30;

// The linear number of a workgroup whose dispatch may have been folded to two dimensions.
fn linear_workgroup(id: vec3<u32>, count: vec3<u32>) -> u32 {
  return id.x + id.y * count.x;
}
