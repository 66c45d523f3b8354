// Hyperbolic functions and their inverses for element-wise expressions, V = f32 or vec4<f32>. e^|x| is the square of
// e^(|x|/2), since it is beyond f32 before its half is.

const HYPERBOLIC_END = 89.41598; // sinh and cosh of more are beyond f32
const HYPERBOLIC_END_BITS = 0x42b2d4fbu;
fn infinite_beyond(y: V, x: V) -> V {
  let infinite = magnitude(x) > U(HYPERBOLIC_END_BITS);
  return keep_nan(bitcast<V>(select(bitcast<U>(y), U(INFINITY_BITS), infinite)), x);
}

// Half of an x from 1 on. A product by 0.5 may be taken after the other one of `0.5 * x * x`, which overflows.
fn halved(x: V) -> V { return bitcast<V>(bitcast<U>(x) - U(1u << 23u)); }

// Cephes, sinhf.c, below 1.
fn hyperbolic_sine(x: V) -> V {
  let a = min(abs(x), V(HYPERBOLIC_END));
  let z = a * a;
  var p = fma(z, V(2.03721912945e-4), V(8.33028376239e-3));
  p = fma(z, p, V(1.66667160211e-1));
  let near = fma(z * p, a, a);
  let root = exponential_of_moderate(0.5 * a);
  let far = fma(halved(root), root, -0.5 / root / root);
  return keep_nan(with_sign(infinite_beyond(select(far, near, a < V(1.0)), x), x), x);
}
fn hyperbolic_cosine(x: V) -> V {
  let root = exponential_of_moderate(0.5 * min(abs(x), V(HYPERBOLIC_END)));
  return infinite_beyond(fma(halved(root), root, 0.5 / root / root), x);
}
// log(x + sqrt(x^2 +- 1)) is log(2 x) from here on, in f32.
const ASYMPTOTIC_FROM = 8192.0;
const LOG_2 = 0.6931471805599453;
fn inverse_hyperbolic_sine(x: V) -> V {
  let a = bitcast<V>(min(magnitude(x), U(LARGEST_BITS)));
  let t = min(a, V(ASYMPTOTIC_FROM));
  let near = logarithm_of_one_plus(t + t * t / (1.0 + sqrt(fma(t, t, V(1.0)))));
  let y = with_sign(select(near, logarithm_of_positive(a) + LOG_2, a > V(ASYMPTOTIC_FROM)), x);
  return bitcast<V>(select(bitcast<U>(y), bitcast<U>(x), magnitude(x) >= U(INFINITY_BITS)));
}
fn inverse_hyperbolic_cosine(x: V) -> V {
  let t = min(x, V(ASYMPTOTIC_FROM)) - 1.0;
  let near = logarithm_of_one_plus(t + sqrt(max(t * (t + 2.0), V(0.0))));
  let y = bitcast<U>(select(near, logarithm_of_positive(x) + LOG_2, x > V(ASYMPTOTIC_FROM)));
  let bits = bitcast<U>(x);
  let right = select(y, bits, bits >= U(INFINITY_BITS));
  return bitcast<V>(select(right, U(NAN_BITS), (bits < U(ONE_BITS)) | (bits >= U(SIGN_BIT))));
}
fn inverse_hyperbolic_tangent(x: V) -> V {
  let a = min(abs(x), V(0.99999994));
  let y = with_sign(0.5 * logarithm_of_one_plus(2.0 * a / (1.0 - a)), x);
  let one = magnitude(x) == U(ONE_BITS);
  return within(bitcast<V>(select(bitcast<U>(y), bitcast<U>(x) | U(INFINITY_BITS), one)), x, ONE_BITS);
}
