// Put before every kernel.

// A mask that survives additions without becoming infinite (WGSL may assume that infinities and NaN do not occur).
const MASKED: f32 = -1e30;
// Where maxima start: above the smallest finite f32, -3.40282347e38, by enough that its decimals survive any compiler.
const LOWEST: f32 = -3.4e38;

// The linear number of a workgroup whose dispatch may have been folded to two dimensions.
fn linear_workgroup(id: vec3<u32>, count: vec3<u32>) -> u32 {
  return id.x + id.y * count.x;
}
