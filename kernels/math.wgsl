// Exponentials, logarithms and powers for element-wise expressions, V = f32 or vec4<f32>. WGSL's own may be off by many
// units in the last place, near 0 and 1 by all digits; these are right to a few. Polynomials: Cephes, logf.c and expf.c.

const ONE_BITS = 0x3f800000u;
const NAN_BITS = 0x7fc00000u;
const SIGN_BIT = 0x80000000u;

// The bits of |x|, ordered as the numbers are.
fn magnitude(x: V) -> U {
  return bitcast<U>(x) & U(NOT_SIGN);
}
// |y| with the sign of x, which zeros have too.
fn with_sign(y: V, x: V) -> V {
  return bitcast<V>(magnitude(y) | (bitcast<U>(x) & U(SIGN_BIT)));
}

// 2^n y for n from -252 to 254, in two factors, since one can be beyond f32 where the result is not.
fn scale_by_power(y: V, n: I) -> V {
  let half = n >> U(1u);
  return y * power_of_two(half) * power_of_two(n - half);
}
fn power_of_two(n: I) -> V {
  return bitcast<V>((n + I(127)) << U(23u));
}

// e^r - 1 for |r| <= log(2) / 2.
fn exponential_series(r: V) -> V {
  var p = fma(r, V(1.9875691500e-4), V(1.3981999507e-3));
  p = fma(r, p, V(8.3334519073e-3));
  p = fma(r, p, V(4.1665795894e-2));
  p = fma(r, p, V(1.6666665459e-1));
  p = fma(r, p, V(5.0000001201e-1));
  return fma(r * r, p, r);
}

// log(2) as 355/512, whose multiples are exact, and the rest.
const LOG_2_HIGH = 0.693359375;
const LOG_2_LOW = -2.12194440e-4;
const LOG_2_E = 1.4426950408889634;
fn nearest_power(x: V) -> V {
  return floor(fma(x, V(LOG_2_E), V(0.5)));
}
// x - n log(2). The first product is one of integers, lest a compiler makes one rounded product of both.
fn beyond_power(x: V, n: V) -> V {
  return fma(n, V(-LOG_2_LOW), x - V(I(n) * I(355)) * 0.001953125);
}

// e^x for x from -170 to 88.
fn exponential_of_moderate(x: V) -> V {
  let n = nearest_power(x);
  return scale_by_power(1.0 + exponential_series(beyond_power(x, n)), I(n));
}

// e^x - 1 = 2^n (e^r - 1) + (2^n - 1) for x = n log(2) + r. Halved inside, for 2^128 is beyond f32.
const EXPM1_END = -18.0; // from there on it is -1
fn exponential_minus_one(x: V) -> V {
  let bounded = clamp(x, V(EXPM1_END), V(EXP_END));
  let n = nearest_power(bounded);
  let series = exponential_series(beyond_power(bounded, n));
  let half = power_of_two(I(n) - I(1));
  let far = 2.0 * fma(half, series, half - 0.5);
  let y = bitcast<U>(select(far, series, n == V(0.0)));
  return keep_nan(bitcast<V>(select(y, U(INFINITY_BITS), bitcast<I>(x) > I(EXP_END_BITS))), x);
}

// 2^f for |f| <= 0.5, 1 at 0.
fn exp2_series(f: V) -> V {
  var p = fma(f, V(1.535336188319500e-4), V(1.339887440266574e-3));
  p = fma(f, p, V(9.618437357674640e-3));
  p = fma(f, p, V(5.550332471162809e-2));
  p = fma(f, p, V(2.402264791363012e-1));
  p = fma(f, p, V(6.931472028550421e-1));
  return fma(f, p, V(1.0));
}

const EXP2_END_BITS = 0x43000000i; // those of 128
fn exponential2(x: V) -> V {
  let bounded = clamp(x, V(-151.0), V(127.99999));
  let n = round(bounded);
  let y = bitcast<U>(scale_by_power(exp2_series(bounded - n), I(n)));
  return keep_nan(bitcast<V>(select(y, U(INFINITY_BITS), bitcast<I>(x) >= I(EXP2_END_BITS))), x);
}

// A positive number as 2^exponent (1 + fraction), with 1 + fraction from sqrt(1/2) to sqrt(2).
struct Binary {
  exponent: V,
  fraction: V,
}
const SQRT_HALF_BITS = 0x3f3504f3i;
const SMALLEST_NORMAL_BITS = 0x00800000u;
fn binary(x: V) -> Binary {
  let bits = magnitude(x);
  let subnormal = bits < U(SMALLEST_NORMAL_BITS); // it is its bits, as an integer, times 2^-149
  let normal = bitcast<I>(select(bits, bitcast<U>(V(bits)), subnormal));
  let exponent = (normal - I(SQRT_HALF_BITS)) >> U(23u);
  let fraction = bitcast<V>(normal - (exponent << U(23u))) - 1.0;
  return Binary(V(exponent) + select(V(0.0), V(-149.0), subnormal), fraction);
}

// (log(1 + f) - f + f^2 / 2) / f^3 for f from sqrt(1/2) - 1 to sqrt(2) - 1.
fn logarithm_tail(f: V) -> V {
  var p = fma(f, V(7.0376836292e-2), V(-1.1514610310e-1));
  p = fma(f, p, V(1.1676998740e-1));
  p = fma(f, p, V(-1.2420140846e-1));
  p = fma(f, p, V(1.4249322787e-1));
  p = fma(f, p, V(-1.6668057665e-1));
  p = fma(f, p, V(2.0000714765e-1));
  p = fma(f, p, V(-2.4999993993e-1));
  return fma(f, p, V(3.3333331174e-1));
}
fn logarithm_series(f: V) -> V {
  return fma(f * f, fma(f, logarithm_tail(f), V(-0.5)), f);
}
fn logarithm_of_positive(x: V) -> V {
  let parts = binary(x);
  return fma(parts.exponent, V(LOG_2_HIGH), fma(parts.exponent, V(LOG_2_LOW), logarithm_series(parts.fraction)));
}

// y, a logarithm of x, with the values where it has no number: -infinity at the pole (given by its bits, -1 or a zero), NaN
// below it, infinity at infinity.
fn logarithm_ends(y: V, x: V, pole: U) -> V {
  let bits = bitcast<U>(x);
  let right = select(bitcast<U>(y), bits, (bits >= U(INFINITY_BITS)) & (bits < U(SIGN_BIT)));
  return bitcast<V>(select(
    select(right, U(INFINITY_BITS | SIGN_BIT), bits == pole),
    U(NAN_BITS),
    bits > max(pole, U(SIGN_BIT)),
  ));
}

const MINUS_ONE_BITS = 0xbf800000u;
fn logarithm_of_one_plus(x: V) -> V {
  let near = (x > V(-0.29289)) & (x < V(0.41421));
  let y = select(logarithm_of_positive(1.0 + x), logarithm_series(x), near);
  return logarithm_ends(y, x, U(MINUS_ONE_BITS));
}

fn logarithm2(x: V) -> V {
  let parts = binary(x);
  let y = fma(logarithm_series(parts.fraction), V(LOG_2_E), parts.exponent);
  return logarithm_ends(y, x, bitcast<U>(x) & U(SIGN_BIT)); // either zero
}

// The first 12 bits of x: products of two such numbers are exact.
fn leading(x: V) -> V {
  return bitcast<V>(bitcast<U>(x) & U(0xfffff000u));
}

// log2(x) of a positive number to some 36 bits, in two numbers, the first of 12 bits.
struct Pair {
  high: V,
  low: V,
}
const LOG_2_E_HIGH = 1.4423828125;
const LOG_2_E_LOW = 3.12228388963387e-4;
fn logarithm2_pair(x: V) -> Pair {
  let parts = binary(x);
  let f = parts.fraction;
  let a = leading(f);
  let b = f - a;
  let half_square = 0.5 * a * a; // exact
  let high = leading(a - half_square);
  let low = ((a - high) - half_square) + fma(b, 1.0 - a, fma(f * f * f, logarithm_tail(f), -0.5 * b * b));
  let exact = high * LOG_2_E_HIGH;
  let rest = fma(high, V(LOG_2_E_LOW), low * LOG_2_E);
  let first = leading(parts.exponent + exact);
  return Pair(first, ((parts.exponent - first) + exact) + rest);
}

// |x|^y as 2^(y log2|x|). The product has digits before the point, so that it needs more behind it than an f32 has.
const LARGEST_POWER = 2147483648.0; // with it any number but 1 is 0 or infinite already
fn power_of_magnitude(x: V, y: V) -> V {
  let z = clamp(y, V(-LARGEST_POWER), V(LARGEST_POWER));
  let log = logarithm2_pair(abs(x));
  let a = leading(z);
  let exact = a * log.high;
  let rest = fma(z - a, log.high, z * log.low);
  let n = clamp(round(exact + rest), V(-151.0), V(128.0));
  let f = clamp((exact - n) + rest, V(-1.0), V(1.0));
  let number = scale_by_power(exp2_series(f), I(n));
  return bitcast<V>(select(bitcast<U>(number), U(INFINITY_BITS), exact + rest >= V(128.0)));
}

// x^y with the values at zeros, infinities and NaN of IEEE 754 pow.
fn power(x: V, y: V) -> V {
  let of_x = magnitude(x);
  let of_y = magnitude(y);
  let z = clamp(y, V(-LARGEST_POWER), V(LARGEST_POWER)); // even where it was limited
  let negative = bitcast<U>(x) >= U(SIGN_BIT);
  let whole = (trunc(z) == z) | (of_y >= U(0x4b000000u));
  let odd = whole & (trunc(0.5 * z) != 0.5 * z);
  let falling = bitcast<U>(y) >= U(SIGN_BIT);
  var bits = magnitude(power_of_magnitude(x, y));
  let at_end = (of_x == U(0u)) | (of_x == U(INFINITY_BITS));
  bits = select(bits, select(U(0u), U(INFINITY_BITS), (of_x == U(0u)) == falling), at_end);
  bits = select(bits, bits | U(SIGN_BIT), negative & odd);
  bits = select(bits, U(NAN_BITS), negative & !whole & !at_end);
  bits = select(bits, U(NAN_BITS), max(of_x, of_y) > U(INFINITY_BITS));
  return bitcast<V>(select(bits, U(ONE_BITS), (of_y == U(0u)) | (bitcast<U>(x) == U(ONE_BITS))));
}

// The inverse of the error function for |x| < 1: a polynomial in log(1 - x^2), one near 0 and one far from it.
// Source: Giles, "Approximating the erfinv function" (GPU Computing Gems 2, 2011), single precision.
const ERF_INV_FAR = 5.0;
fn inverse_error_function(x: V) -> V {
  let bounded = clamp(x, V(-0.99999994), V(0.99999994));
  let w = -logarithm_of_positive((1.0 - bounded) * (1.0 + bounded));
  let a = w - 2.5;
  var near = fma(a, V(2.81022636e-08), V(3.43273939e-07));
  near = fma(a, near, V(-3.5233877e-06));
  near = fma(a, near, V(-4.39150654e-06));
  near = fma(a, near, V(0.00021858087));
  near = fma(a, near, V(-0.00125372503));
  near = fma(a, near, V(-0.00417768164));
  near = fma(a, near, V(0.246640727));
  near = fma(a, near, V(1.50140941));
  let b = sqrt(max(w, V(0.0))) - 3.0;
  var far = fma(b, V(-0.000200214257), V(0.000100950558));
  far = fma(b, far, V(0.00134934322));
  far = fma(b, far, V(-0.00367342844));
  far = fma(b, far, V(0.00573950773));
  far = fma(b, far, V(-0.0076224613));
  far = fma(b, far, V(0.00943887047));
  far = fma(b, far, V(1.00167406));
  far = fma(b, far, V(2.83297682));
  let y = select(far, near, w < V(ERF_INV_FAR)) * bounded;
  let of_x = magnitude(x);
  let inside = select(bitcast<U>(y), (bitcast<U>(x) & U(SIGN_BIT)) | U(INFINITY_BITS), of_x == U(ONE_BITS));
  return bitcast<V>(select(inside, U(NAN_BITS), of_x > U(ONE_BITS)));
}
