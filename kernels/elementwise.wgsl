// Functions that element-wise expressions may use, for V = f32 or vec4<f32> (the kernel's width; U is u32 or vec4<u32>).

// erf by a rational approximation in x, odd over even powers; error below 2 units in the last place, saturated from |x| = 4 on.
// Coefficients: Eigen, MathFunctionsImpl.h, generic_fast_erf_float; XLA has the same.
fn erf(x0: V) -> V {
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
  return fma(erf(x * SQRT_HALF), V(0.5), V(0.5));
}
fn normal_pdf(x: V) -> V {
  return INVERSE_SQRT_TWO_PI * exp(-0.5 * min(x * x, V(LARGEST_SQUARE)));
}
