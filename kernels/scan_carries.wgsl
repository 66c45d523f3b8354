// Of the states at the ends of chunks, the states before them, in place: carries [outer, chunks, inner]. One thread owns a
// line. The hook is that of scan.wgsl. Frame: flat.wgsl.
struct Uniforms { count: u32, inner: u32, chunks: u32 }
@group(0) @binding(0) var<storage, read_write> carries: array<S>;
@group(0) @binding(1) var<uniform> u: Uniforms;
//#hook states

fn compute(id: u32) {
  let base = id / u.inner * u.chunks * u.inner + id % u.inner;
  var all = unit();
  for (var c = 0u; c < u.chunks; c++) {
    let at = base + c * u.inner;
    let own = carries[at];
    carries[at] = all;
    all = combine(all, own);
  }
}
