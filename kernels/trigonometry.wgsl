// Circular functions and their inverses for element-wise expressions, V = f32 or vec4<f32>: WGSL promises sin and cos to
// 2^-11 and from -pi to pi only. Polynomials: Cephes, sinf.c, tanf.c, asinf.c and atanf.c.

const HALF_PI = 1.5707963267948966;
const QUARTER_PI = 0.7853981633974483;
const PI = 3.141592653589793;

// An angle as a whole number of quarter turns, modulo 4, and the rest, from -pi/4 to pi/4.
struct Turn {
  quarter: U,
  rest: V,
}

// The high word of m w for m < 2^24.
fn high_word(m: U, w: U) -> U {
  let m0 = m & U(0xffffu);
  let m1 = m >> U(16u);
  let w0 = w & U(0xffffu);
  let w1 = w >> U(16u);
  let a = m1 * w0;
  let b = m0 * w1;
  let middle = ((m0 * w0) >> U(16u)) + (a & U(0xffffu)) + (b & U(0xffffu));
  return m1 * w1 + (a >> U(16u)) + (b >> U(16u)) + (middle >> U(16u));
}

// |x| = m 2^k times 2/pi, modulo 4, in integers: of 2/pi only the 96 bits matter whose product with m is below 4 and not too
// small (Payne and Hanek 1983). Exact for every f32; bits 94 to 64 of the product become the angle.
const REDUCED_FROM = 126u; // the exponent of 0.5: smaller angles stay as they are
fn quarter_turns(x: V) -> Turn {
  var table = array<u32, 8>( // 26 zeros, then 2/pi
    0x00000028u, 0xbe60db93u, 0x91054a7fu, 0x09d5f47du, 0x4d377036u, 0xd8a5664fu, 0x10e4107fu, 0x9458eaf7u);
  let bits = magnitude(x);
  let exponent = bits >> U(23u);
  let start = max(exponent, U(REDUCED_FROM)) - U(REDUCED_FROM);
  let word = start >> U(5u);
  let shift = start & U(31u);
  var w0 = U(0u);
  var w1 = U(0u);
  var w2 = U(0u);
  var w3 = U(0u);
  for (var k = 0u; k < 5u; k++) {
    let here = word == U(k);
    w0 = select(w0, U(table[k]), here);
    w1 = select(w1, U(table[k + 1u]), here);
    w2 = select(w2, U(table[k + 2u]), here);
    w3 = select(w3, U(table[k + 3u]), here);
  }
  let back = U(31u) - shift;
  w0 = (w0 << shift) | ((w1 >> U(1u)) >> back);
  w1 = (w1 << shift) | ((w2 >> U(1u)) >> back);
  w2 = (w2 << shift) | ((w3 >> U(1u)) >> back);
  let m = (bits & U(0x7fffffu)) | U(0x800000u);
  let middle = m * w1;
  var low = middle + high_word(m, w2);
  var high = m * w0 + high_word(m, w1) + select(U(0u), U(1u), low < middle);
  let quarter = (high + U(0x20000000u)) >> U(30u);
  high -= quarter << U(30u);
  let negative = high >= U(SIGN_BIT);
  high = select(high, ~high, negative);
  low = select(low, ~low, negative);
  let size = fma(V(high), V(9.31322574615478515625e-10), V(low) * 2.16840434497100886801e-19) * HALF_PI; // 2^-30, 2^-62
  let small = exponent < U(REDUCED_FROM);
  return Turn(select(quarter, U(0u), small), select(select(size, -size, negative), abs(x), small));
}

fn sine_of_rest(r: V) -> V {
  let z = r * r;
  var p = fma(z, V(-1.9515295891e-4), V(8.3321608736e-3));
  p = fma(z, p, V(-1.6666654611e-1));
  return fma(z * p, r, r);
}
fn cosine_of_rest(r: V) -> V {
  let z = r * r;
  var p = fma(z, V(2.443315711809948e-5), V(-1.388731625493765e-3));
  p = fma(z, p, V(4.166664568298827e-2));
  return fma(z, fma(z, p, V(-0.5)), V(1.0));
}
fn sine_of_turn(quarter: U, rest: V) -> V {
  let y = select(sine_of_rest(rest), cosine_of_rest(rest), (quarter & U(1u)) == U(1u));
  return bitcast<V>(bitcast<U>(y) ^ ((quarter & U(2u)) << U(30u)));
}
// y, but NaN where x is no number in [-end, end].
fn within(y: V, x: V, end: u32) -> V {
  return bitcast<V>(select(bitcast<U>(y), U(NAN_BITS), magnitude(x) > U(end)));
}
const LARGEST_BITS = 0x7f7fffffu;

fn sine(x: V) -> V {
  let turn = quarter_turns(x);
  let y = sine_of_turn(turn.quarter, turn.rest);
  return within(bitcast<V>(bitcast<U>(y) ^ (bitcast<U>(x) & U(SIGN_BIT))), x, LARGEST_BITS);
}
fn cosine(x: V) -> V {
  let turn = quarter_turns(x);
  return within(sine_of_turn(turn.quarter + U(1u), turn.rest), x, LARGEST_BITS);
}
fn tangent(x: V) -> V {
  let turn = quarter_turns(x);
  let z = turn.rest * turn.rest;
  var p = fma(z, V(9.38540185543e-3), V(3.11992232697e-3));
  p = fma(z, p, V(2.44301354525e-2));
  p = fma(z, p, V(5.34112807005e-2));
  p = fma(z, p, V(1.33387994085e-1));
  p = fma(z, p, V(3.33331568548e-1));
  let near = fma(z * p, turn.rest, turn.rest);
  let y = select(near, -1.0 / near, (turn.quarter & U(1u)) == U(1u));
  return within(bitcast<V>(bitcast<U>(y) ^ (bitcast<U>(x) & U(SIGN_BIT))), x, LARGEST_BITS);
}

// asin of a number from 0 to 0.5.
fn arcsine_series(x: V) -> V {
  let z = x * x;
  var p = fma(z, V(4.2163199048e-2), V(2.4181311049e-2));
  p = fma(z, p, V(4.5470025998e-2));
  p = fma(z, p, V(7.4953002686e-2));
  p = fma(z, p, V(1.6666752422e-1));
  return fma(z * p, x, x);
}
// Above 0.5: asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2)), without cancellation near 1.
fn arcsine(x: V) -> V {
  let a = abs(x);
  let far = a > V(0.5);
  let y = arcsine_series(select(a, sqrt(max(fma(a, V(-0.5), V(0.5)), V(0.0))), far));
  return within(with_sign(select(y, fma(y, V(-2.0), V(HALF_PI)), far), x), x, ONE_BITS);
}
fn arccosine(x: V) -> V {
  let a = abs(x);
  let far = a > V(0.5);
  let y = arcsine_series(select(a, sqrt(max(fma(a, V(-0.5), V(0.5)), V(0.0))), far));
  let acute = select(HALF_PI - y, 2.0 * y, far);
  return within(select(acute, PI - acute, x < V(0.0)), x, ONE_BITS);
}

// atan of a number from 0 to 1.
const TAN_EIGHTH_PI = 0.41421356237309503;
fn arctangent_to_one(a: V) -> V {
  let upper = a > V(TAN_EIGHTH_PI);
  let x = select(a, (a - 1.0) / (a + 1.0), upper);
  let z = x * x;
  var p = fma(z, V(8.05374449538e-2), V(-1.38776856032e-1));
  p = fma(z, p, V(1.99777106478e-1));
  p = fma(z, p, V(-3.33329491539e-1));
  return select(V(0.0), V(QUARTER_PI), upper) + fma(z * p, x, x);
}
fn arctangent(x: V) -> V {
  let a = abs(x);
  let far = a > V(1.0);
  let y = arctangent_to_one(select(a, 1.0 / clamp(a, V(1.0), V(1e30)), far));
  return keep_nan(with_sign(select(y, HALF_PI - y, far), x), x);
}
// The angle of the point (x, y), as IEEE 754 has it at zeros and infinities, whose signs count.
fn arctangent2(y: V, x: V) -> V {
  let far = furthest(x, y);
  let near = bitcast<V>(min(magnitude(x), magnitude(y)));
  let huge = far > V(1e18);
  let scale = select(select(V(1.0), V(1.8446744073709552e19), far < V(1e-18)), V(5.421010862427522e-20), huge); // 2^64, 2^-64
  let quotient = (near * scale) / select(far * scale, V(1.0), far == V(0.0));
  let diagonal = magnitude(x) == magnitude(y);
  let slope = select(quotient, V(1.0), diagonal & (far != V(0.0)));
  let acute = arctangent_to_one(select(slope, V(0.0), (bitcast<U>(far) == U(INFINITY_BITS)) & !diagonal));
  let right = select(acute, HALF_PI - acute, magnitude(y) > magnitude(x));
  let angle = select(right, PI - right, bitcast<U>(x) >= U(SIGN_BIT));
  return keep_nan(with_sign(angle, y), far);
}
