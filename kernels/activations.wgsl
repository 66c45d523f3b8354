// Activations for element-wise expressions, V = f32 or vec4<f32>, stable for numbers of any size.

const VANISHES_FROM = 110.0; // e to minus this is 0, even as a subnormal number
fn softplus(x: V) -> V {
  return keep_nan(max(x, V(0.0)) + logarithm_of_one_plus(exponential_of_moderate(-min(abs(x), V(VANISHES_FROM)))), x);
}

// x tanh(log(1 + e^x)), where the tanh is e (e + 2) / (e (e + 2) + 2), and 1 in f32 from 20 on.
fn mish(x: V) -> V {
  let e = exponential_of_moderate(clamp(x, V(-VANISHES_FROM), V(20.0)));
  let n = e * (e + 2.0);
  return keep_nan(x * (n / (n + 2.0)), x);
}

// 2 u for the u of 0.5 x (1 + tanh(u)), which is x / (1 + e^(-2 u)): sqrt(8 / pi) (x + 0.044715 x^3). Bounded where it is
// beyond all that 1 / (1 + e^-x) tells apart.
const SQRT_8_OVER_PI = 1.5957691216057308;
fn gelu_tanh_argument(x: V) -> V {
  let t = clamp(x, V(-20.0), V(20.0));
  return keep_nan(SQRT_8_OVER_PI * fma(0.044715 * t, t * t, t), x);
}

fn hard_sigmoid(x: V) -> V {
  return keep_nan(clamp(fma(x, V(1.0 / 6.0), V(0.5)), V(0.0), V(1.0)), x);
}

fn softsign(x: V) -> V {
  let t = clamp(x, V(-1e30), V(1e30)); // infinity over infinity is none
  return keep_nan(t / (1.0 + abs(t)), x);
}
