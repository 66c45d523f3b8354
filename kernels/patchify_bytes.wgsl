// Patches of 8-bit RGB images, normalised: y[b, token, c, py, px] = (byte / 255 - mean[c]) / deviation[c].
// images [batch, height, width, 3] bytes packed in words, y [batch, height/patch * width/patch, 3 * patch * patch].
// side: of a patch. One thread owns one pixel (or four in a row of a patch), in its three channels. Frame: flat.wgsl.
const VECTOR = true;
//#if VECTOR
alias F = vec4<f32>;
const WIDTH = 4u;
fn bytes_at(i: u32) -> F { return F(byte_at(i), byte_at(i + 3u), byte_at(i + 6u), byte_at(i + 9u)); }
//#else
alias F = f32;
const WIDTH = 1u;
fn bytes_at(i: u32) -> F { return byte_at(i); }
//#end

struct Uniforms { count: u32, height: u32, width: u32, side: u32, mean: vec3<f32>, deviation: vec3<f32> }
@group(0) @binding(0) var<storage, read_write> images: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<F>;
@group(0) @binding(2) var<uniform> u: Uniforms; // count: pixels / WIDTH

fn byte_at(i: u32) -> f32 { return f32(extractBits(images[i / 4u], i % 4u * 8u, 8u)); }

fn compute(id: u32) {
  let pixel = id * WIDTH;
  let column = pixel % u.width;
  let line = pixel / u.width % u.height;
  let image = pixel / u.width / u.height;
  let across = u.width / u.side;
  let token = (image * (u.height / u.side) + line / u.side) * across + column / u.side;
  let area = u.side * u.side;
  let place = token * 3u * area + line % u.side * u.side + column % u.side;
  for (var c = 0u; c < 3u; c++) {
    let value = bytes_at(pixel * 3u + c) / 255.0;
    y[(place + c * area) / WIDTH] = (value - u.mean[c]) / u.deviation[c];
  }
}
