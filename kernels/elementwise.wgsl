// Functions that element-wise expressions may use, for V = f32 or vec4<f32> (the kernel's width; U is u32 or vec4<u32>).

// NaN is found by its bits, as integers: WGSL may assume that floats are neither NaN nor infinite, and min, max and
// clamp drop NaN. Without the sign, bits are ordered as the numbers are, infinity after them and NaN last.
const NOT_SIGN = 0x7fffffffu;
const INFINITY_BITS = 0x7f800000u;

// y, but x where x is NaN.
fn keep_nan(y: V, x: V) -> V {
  return select(y, x, (bitcast<U>(x) & U(NOT_SIGN)) > U(INFINITY_BITS));
}
fn maximum(a: V, b: V) -> V {
  return keep_nan(max(a, b), furthest(a, b));
}
fn minimum(a: V, b: V) -> V {
  return keep_nan(min(a, b), furthest(a, b));
}
// The larger of |a| and |b|; NaN if one of them is.
fn furthest(a: V, b: V) -> V {
  return bitcast<V>(max(bitcast<U>(a) & U(NOT_SIGN), bitcast<U>(b) & U(NOT_SIGN)));
}

// Above it e^x is beyond the largest f32: 88.72283.
const EXP_END = 88.72283;
const EXP_END_BITS = 0x42b17217i;
fn exponential(x: V) -> V {
  let y = bitcast<U>(exp(min(x, V(EXP_END))));
  return keep_nan(bitcast<V>(select(y, U(INFINITY_BITS), bitcast<I>(x) > I(EXP_END_BITS))), x);
}

// WGSL leaves the logarithm of negative numbers open: adapters give NaN or that of |x|.
const NEGATIVE_BITS = 0x80000000u; // those of -0; beyond it are negative numbers
const NOT_A_NUMBER = 0x7fc00000u;
fn natural_logarithm(x: V) -> V {
  let y = bitcast<U>(log(x));
  return keep_nan(bitcast<V>(select(y, U(NOT_A_NUMBER), bitcast<U>(x) > U(NEGATIVE_BITS))), x);
}

// 1 / (1 + e^-x); below -88 it is less than the smallest normal f32 and given as 0.
const SIGMOID_END = 88.0;
const SIGMOID_END_BITS = 0xc2b00000u; // those of -88
fn logistic(x: V) -> V {
  let y = 1.0 / (1.0 + exp(clamp(-x, V(-SIGMOID_END), V(SIGMOID_END))));
  return keep_nan(select(y, V(0.0), bitcast<U>(x) > U(SIGMOID_END_BITS)), x);
}

// Some adapters compute tanh from powers of e: they overflow for large |x|, where tanh is 1 in f32 (from 9.02 on), and
// cancel for small |x|. There an odd polynomial takes its place: Cephes, tanhf.c.
const TANH_END = 15.0;
const TANH_SERIES_END = 0.625;
fn hyperbolic_tangent(x: V) -> V {
  let y = x * x;
  var p = fma(y, V(-5.70498872745e-3), V(2.06390887954e-2));
  p = fma(y, p, V(-5.37397155531e-2));
  p = fma(y, p, V(1.33314422036e-1));
  p = fma(y, p, V(-3.33332819422e-1));
  let near = fma(y * p, x, x);
  let far = tanh(clamp(x, V(-TANH_END), V(TANH_END)));
  return keep_nan(select(far, near, abs(x) < V(TANH_SERIES_END)), x);
}

// erf by a rational approximation in x, odd over even powers; error below 2 units in the last place, saturated from |x| = 4 on.
// Coefficients: Eigen, MathFunctionsImpl.h, generic_fast_erf_float; XLA has the same.
fn erf(x: V) -> V {
  return keep_nan(erf_of_number(x), x);
}
fn erf_of_number(x0: V) -> V {
  let x = clamp(x0, V(-4.0), V(4.0));
  let y = x * x;
  var p = fma(y, V(-2.72614225801306e-10), V(2.77068142495902e-08));
  p = fma(y, p, V(-2.10102402082508e-06));
  p = fma(y, p, V(-5.69250639462346e-05));
  p = fma(y, p, V(-7.34990630326855e-04));
  p = fma(y, p, V(-2.95459980854025e-03));
  p = fma(y, p, V(-1.60960333262415e-02));
  var q = fma(y, V(-1.45660718464996e-05), V(-2.13374055278905e-04));
  q = fma(y, q, V(-1.68282697438203e-03));
  q = fma(y, q, V(-7.37332916720468e-03));
  q = fma(y, q, V(-1.42647390514189e-02));
  return x * p / q;
}

// The normal distribution function and density, of which the erf GELU and its derivatives are made.
const SQRT_HALF = 0.7071067811865476;
const INVERSE_SQRT_TWO_PI = 0.3989422804014327;
const LARGEST_SQUARE = 200.0; // beyond it the density is below the smallest normal f32
fn normal_cdf(x: V) -> V {
  return fma(erf_of_number(x * SQRT_HALF), V(0.5), V(0.5));
}
fn normal_pdf(x: V) -> V {
  return INVERSE_SQRT_TWO_PI * exp(-0.5 * min(x * x, V(LARGEST_SQUARE)));
}
