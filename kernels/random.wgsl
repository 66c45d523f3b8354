// Philox4x32-10, a counter-based generator: 128 random bits that depend on the counter and the key alone.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 3.3.
// Pure functions, no bindings: put this text before a kernel that draws numbers.
const PHILOX_MULTIPLIERS = vec2<u32>(0xD2511F53u, 0xCD9E8D57u);
const PHILOX_WEYL = vec2<u32>(0x9E3779B9u, 0xBB67AE85u); // added to the key after each round

// The upper 32 bits of the 64-bit product, from products of 16-bit halves.
fn multiply_high(a: u32, b: u32) -> u32 {
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let low = a1 * b0 + ((a0 * b0) >> 16u);
  let middle = a0 * b1 + (low & 0xffffu);
  return a1 * b1 + (low >> 16u) + (middle >> 16u);
}

fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    c = vec4<u32>(
      multiply_high(PHILOX_MULTIPLIERS.y, c.z) ^ c.y ^ k.x,
      PHILOX_MULTIPLIERS.y * c.z,
      multiply_high(PHILOX_MULTIPLIERS.x, c.x) ^ c.w ^ k.y,
      PHILOX_MULTIPLIERS.x * c.x,
    );
    k += PHILOX_WEYL;
  }
  return c;
}

// 64 random bits, the high word first, as a number below `range`: the whole part of their share of it. Every number is
// equally likely to range / 2^64.
// Source: Lemire, "Fast random integer generation in an interval" (TOMACS 2019), section 4, without the rejections.
fn scale_words(high: u32, low: u32, range: u32) -> u32 {
  let product = high * range;
  let carry = select(0u, 1u, product + multiply_high(low, range) < product);
  return multiply_high(high, range) + carry;
}
