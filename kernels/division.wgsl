// Quotients and remainders that element-wise expressions may use, for V = f32 or vec4<f32> (I and U are as wide). The
// constants are those of kernels/elementwise.wgsl; the sign is the bit ~NOT_SIGN.

const IMPLICIT_BIT = 0x00800000u; // the leading 1 of a normal number, which is not stored
const QUIET_NAN = 0x7fc00000u;

// |x| is significand * 2^(exponent - 150), from the bits of |x|; numbers below the normal ones have no leading 1.
fn significand_of(bits: U) -> U {
  return select(bits, (bits & U(IMPLICIT_BIT - 1u)) | U(IMPLICIT_BIT), bits >= U(IMPLICIT_BIT));
}
fn exponent_of(bits: U) -> U {
  return max(bits >> U(23u), U(1u));
}

// The exact remainder with the sign of a, as C's fmod, by long division of the significands, eight bits at a time.
// WGSL's % is a - b * trunc(a / b) with the errors of the division, and fma may be rounded twice.
fn float_mod(a: V, b: V) -> V {
  let x = bitcast<U>(a) & U(NOT_SIGN);
  let y = bitcast<U>(b) & U(NOT_SIGN);
  let divisor = max(significand_of(y), U(1u)); // 0 only where the result is NaN
  var places = select(U(0u), exponent_of(x) - exponent_of(y), x > y);
  var r = significand_of(x) % divisor;
  for (var turn = 0u; turn < 32u && any(places > U(0u)); turn++) { // exponents differ by 253 at most
    let step = min(places, U(8u));
    r = (r << step) % divisor;
    places -= step;
  }
  let scale = exponent_of(y) - U(1u);
  let shift = min(countLeadingZeros(r) - U(8u), scale); // brings the leading 1 to its place, if the exponent allows
  let bits = select(U(0u), ((scale - shift) << U(23u)) + (r << shift), r > U(0u));
  let signed = select(bits, x, x < y) | (bitcast<U>(a) & U(~NOT_SIGN));
  let undefined = (x >= U(INFINITY_BITS)) | (y > U(INFINITY_BITS)) | (y == U(0u));
  return bitcast<V>(select(signed, U(QUIET_NAN), undefined));
}

// 1 where a remainder is not 0 and has another sign than b, else 0.
fn crossed(r: V, b: V) -> U {
  let apart = ((bitcast<U>(r) ^ bitcast<U>(b)) & U(~NOT_SIGN)) != U(0u);
  return select(U(0u), U(1u), apart & ((bitcast<U>(r) & U(NOT_SIGN)) != U(0u)));
}

// The remainder with the sign of b, zeros too.
fn float_remainder(a: V, b: V) -> V {
  let r = float_mod(a, b);
  let zero = bitcast<V>(bitcast<U>(b) & U(~NOT_SIGN));
  let found = select(r, zero, (bitcast<U>(r) & U(NOT_SIGN)) == U(0u));
  return select(found, r + b, crossed(r, b) == U(1u));
}

// floor(a / b), but of the exact quotient: a less the remainder is a multiple of b.
fn float_floor_divide(a: V, b: V) -> V {
  let r = float_mod(a, b);
  let quotient = (a - r) / b;
  let whole = keep_nan(round(quotient), quotient) - V(crossed(r, b));
  return select(whole, a / b, (bitcast<U>(b) & U(NOT_SIGN)) == U(0u));
}

// 1 in the place of 0, and of -1 below the smallest number, whose quotient is itself as integers wrap around.
fn integer_divisor(a: I, b: I) -> I {
  return select(b, I(1), (b == I(0)) | ((b == I(-1)) & (bitcast<U>(a) == U(~NOT_SIGN))));
}
fn integer_divide(a: I, b: I) -> I {
  return select(a / integer_divisor(a, b), I(0), b == I(0));
}
fn integer_mod(a: I, b: I) -> I {
  let divisor = integer_divisor(a, b);
  return a - a / divisor * divisor;
}
fn integer_remainder(a: I, b: I) -> I {
  let r = integer_mod(a, b);
  return select(r, r + b, (r != I(0)) & ((r ^ b) < I(0)));
}
fn integer_floor_divide(a: I, b: I) -> I {
  let divisor = integer_divisor(a, b);
  let quotient = a / divisor;
  let r = a - quotient * divisor;
  let below = (r != I(0)) & ((r ^ b) < I(0));
  return select(quotient - select(I(0), I(1), below), I(0), b == I(0));
}
