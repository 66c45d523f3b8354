// Sets words to 0: the gaps between parameters in a flat buffer of gradients. y [words]. One thread owns 4 words.
// Frame: flat.wgsl.
struct Uniforms { count: u32, words: u32 } // count: words / 4, rounded up
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<uniform> u: Uniforms;

fn compute(id: u32) {
  for (var i = id * 4u; i < min(id * 4u + 4u, u.words); i++) {
    y[i] = 0u;
  }
}
