// The factors by which the dropout of attention multiplies its probabilities, y [B * heads, tq, tk]: 0 or 1 / the share that is kept,
// from the bits that attention_forward.wgsl draws. Frame: flat.wgsl; random.wgsl comes before.
struct Uniforms { count: u32, tq: u32, tk: u32, stream: u32, threshold: u32, factor: f32 }
@group(0) @binding(0) var<storage, read_write> random_key: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> u: Uniforms; // count: B * heads * tq * tk

fn compute(id: u32) {
  let key = id % u.tk;
  let row = id / u.tk;
  let counter = vec4<u32>(key / 8u, row % u.tq, row / u.tq, u.stream);
  let bits = philox4x32(counter, vec2<u32>(random_key[0], random_key[1]));
  let own = (bits[key % 8u / 2u] >> (16u * (key % 2u))) & 0xffffu;
  y[id] = select(u.factor, 0.0, own < u.threshold);
}
