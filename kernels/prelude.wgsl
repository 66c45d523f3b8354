// Put before every kernel.

// A mask that survives additions without becoming infinite (WGSL may assume that infinities and NaN do not occur).
const MASKED: f32 = -1e30;
// Where maxima start: above the smallest finite f32, -3.40282347e38, by enough that its decimals survive any compiler.
const LOWEST: f32 = -3.4e38;

// The linear number of a workgroup whose dispatch may have been folded to two dimensions.
fn linear_workgroup(id: vec3<u32>, count: vec3<u32>) -> u32 {
  return id.x + id.y * count.x;
}

// n / d and n % d for numbers below 2^24: floats hold these, with a quotient that is off by at most 1, and CPU adapters divide
// integers lane by lane.
fn quotient(n: u32, d: u32) -> u32 {
  let q = i32(f32(i32(n)) / f32(i32(d)));
  let rest = i32(n) - q * i32(d);
  return u32(q + select(0i, 1i, rest >= i32(d)) - select(0i, 1i, rest < 0i));
}
fn remainder(n: u32, d: u32) -> u32 {
  return n - quotient(n, d) * d;
}
