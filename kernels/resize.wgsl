// Resizes the middle axis by linear interpolation between the two nearest elements, or GRAD the transpose of that:
//   y[o, j, i] = (1 - f) * x[o, k, i] + f * x[o, k + 1, i],   k + f = max(0, j * scale + shift) / divisor,
//   dx[o, k, i] = sum over j of g[o, j, i] times the weight that x[o, k, i] has in y[o, j, i].
// Places are exact, for they are computed in whole numbers. NEAREST: f counts as 0. An element of weight 0 is not read, so
// that NaN and infinities stay where they are. One thread owns one element of the result, or 4 along inner. Frame: flat.wgsl.
const GRAD = false;
const NEAREST = false;
const VECTOR = true;
//#if VECTOR
alias F = vec4<f32>;
//#else
alias F = f32;
//#end

struct Uniforms {
  count: u32, // loads of the result
  inner: u32, // in loads
  input: u32, // elements of x along the axis
  output: u32, // elements of y along the axis
  scale: u32,
  shift: i32,
  divisor: u32,
}
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> y: array<F>;
@group(0) @binding(2) var<uniform> u: Uniforms;

struct Place { k: u32, f: f32 }

// Where element j of y is in x.
fn place_of(j: u32) -> Place {
  let at = u32(max(i32(j * u.scale) + u.shift, 0));
  let k = at / u.divisor;
  //#if NEAREST
  return Place(min(k, u.input - 1u), 0.0);
  //#else
  if (k >= u.input - 1u) { return Place(u.input - 1u, 0.0); }
  return Place(k, f32(at % u.divisor) / f32(u.divisor));
  //#end
}

//#if GRAD
// The first j whose place is beyond k - 1, where k > 0: that is the smallest with j * scale + shift > (k - 1) * divisor.
fn first_of(k: u32) -> u32 {
  let least = i32((k - 1u) * u.divisor) - u.shift;
  return select(0u, u32(least) / u.scale + 1u, least >= 0);
}

fn compute(id: u32) {
  let column = id % u.inner;
  let k = id / u.inner % u.input;
  let base = id / u.inner / u.input * u.output * u.inner + column;
  var begin = 0u;
  if (k > 0u) { begin = first_of(k); }
  var sum = F(0.0);
  for (var j = begin; j < u.output; j++) {
    let place = place_of(j);
    if (place.k > k) { break; }
    let weight = select(place.f, 1.0 - place.f, place.k == k);
    if (weight > 0.0) { sum = fma(F(weight), x[base + j * u.inner], sum); }
  }
  y[id] = sum;
}
//#else
fn compute(id: u32) {
  let column = id % u.inner;
  let place = place_of(id / u.inner % u.output);
  let at = (id / u.inner / u.output * u.input + place.k) * u.inner + column;
  var v = x[at];
  if (place.f > 0.0) { v = fma(F(place.f), x[at + u.inner], (1.0 - place.f) * v); }
  y[id] = v;
}
//#end
