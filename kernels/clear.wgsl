// Sets words to 0: the gaps between parameters in a flat buffer of gradients. y [words]. One thread owns 4 words.
// Frame: flat.wgsl.
const WIDE = true; // words are a multiple of 4

struct Uniforms { count: u32, words: u32 } // count: words / 4, rounded up
//#if WIDE
@group(0) @binding(0) var<storage, read_write> y: array<vec4<u32>>;
//#else
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
//#end
@group(0) @binding(1) var<uniform> u: Uniforms;

fn compute(id: u32) {
  //#if WIDE
  y[id] = vec4(0u);
  //#else
  for (var i = id * 4u; i < min(id * 4u + 4u, u.words); i++) {
    y[i] = 0u;
  }
  //#end
}
