// Parameter gradients of LayerNorm, or partial sums of them: for chunk c of rows and column i,
// dgamma[c, i] = sum over rows of dy * (x - mean) * rstd, dbeta[c, i] = sum of dy.
// x, dy [rows, length], offset = mean - x[row, 0] and rstd [rows], dgamma, dbeta [chunks, length]. One thread owns one
// element (or four) of both results and adds up in order, in blocks. Frame: flat.wgsl.
const VECTOR = true;
const BLOCK = 32u; // elements that are added up before their sum is added to that of the blocks, against rounding
//#if VECTOR
alias F = vec4<f32>;
fn first_of(v: F) -> f32 { return v.x; }
//#else
alias F = f32;
fn first_of(v: F) -> f32 { return v; }
//#end

struct Uniforms { count: u32, rows: u32, length: u32, chunk: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<F>;
@group(0) @binding(1) var<storage, read_write> dy: array<F>;
@group(0) @binding(2) var<storage, read_write> offsets: array<f32>;
@group(0) @binding(3) var<storage, read_write> rstds: array<f32>;
@group(0) @binding(4) var<storage, read_write> dgamma: array<F>;
@group(0) @binding(5) var<storage, read_write> dbeta: array<F>;
@group(0) @binding(6) var<uniform> u: Uniforms; // count, length: in loads

fn compute(id: u32) {
  let column = id % u.length;
  let begin = id / u.length * u.chunk;
  let end = min(begin + u.chunk, u.rows);
  var all_gamma = F(0.0);
  var all_beta = F(0.0);
  for (var at = begin; at < end; at += BLOCK) {
    var part_gamma = F(0.0);
    var part_beta = F(0.0);
    for (var r = at; r < min(end, at + BLOCK); r++) {
      let base = r * u.length;
      let d = dy[base + column];
      part_gamma = fma(d, (x[base + column] - first_of(x[base]) - offsets[r]) * rstds[r], part_gamma);
      part_beta += d;
    }
    all_gamma += part_gamma;
    all_beta += part_beta;
  }
  dgamma[id] = all_gamma;
  dbeta[id] = all_beta;
}
