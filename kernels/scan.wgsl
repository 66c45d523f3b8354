// Combines the elements along the middle axis one after the other: y[o, i, c] = combination of x[o, 0..i, c].
// x, y [outer, length, inner]. One thread owns a chunk of one line. Where lines are cut into chunks, a first run with TOTALS
// writes the state at the end of each chunk to carries [outer, chunks, inner], scan_carries.wgsl makes of these the state
// before each, and a second run with CARRIED begins with it. The hook gives the element type E, the state S, `unit()`,
// `state_at(at)`, `combine(a, b)` (a comes first) and `result(s)`. Frame: flat.wgsl.
const TOTALS = false;
const CARRIED = false;
const EXCLUSIVE = false; // y[i] is without x[i]
const REVERSE = false; // from the last element to the first

struct Uniforms { count: u32, length: u32, inner: u32, chunk: u32, chunks: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<E>;
//#if TOTALS
@group(0) @binding(1) var<storage, read_write> carries: array<S>;
//#else
@group(0) @binding(1) var<storage, read_write> y: array<E>;
//#if CARRIED
@group(0) @binding(2) var<storage, read_write> carries: array<S>;
//#end
//#end
@group(0) @binding(3) var<uniform> u: Uniforms;
//#hook states

fn compute(id: u32) {
  let column = id % u.inner;
  let rest = id / u.inner;
  let base = rest / u.chunks * u.length * u.inner + column;
  let begin = rest % u.chunks * u.chunk;
  let end = min(begin + u.chunk, u.length);
//#if CARRIED
  var all = carries[id];
//#else
  var all = unit();
//#end
  for (var i = begin; i < end; i++) {
//#if REVERSE
    let at = base + (u.length - 1u - i) * u.inner;
//#else
    let at = base + i * u.inner;
//#end
    let next = combine(all, state_at(at));
//#if TOTALS
//#else
//#if EXCLUSIVE
    y[at] = result(all);
//#else
    y[at] = result(next);
//#end
//#end
    all = next;
  }
//#if TOTALS
  carries[id] = all;
//#end
}
