// Stable order of ids: thread i counts the ids that come before its own, by (id, position), and writes its id and position
// at that place. ids, sorted, order [count]. Costs count * count comparisons, a few milliseconds for thousands of ids.
// Frame: flat.wgsl.
struct Uniforms { count: u32 }
@group(0) @binding(0) var<storage, read_write> ids: array<u32>;
@group(0) @binding(1) var<storage, read_write> sorted: array<u32>;
@group(0) @binding(2) var<storage, read_write> order: array<u32>;
@group(0) @binding(3) var<uniform> u: Uniforms;

fn compute(id: u32) {
  let own = ids[id];
  var rank = 0u;
  for (var j = 0u; j < u.count; j++) {
    let other = ids[j];
    rank += select(0u, 1u, other < own || (other == own && j < id));
  }
  sorted[rank] = own;
  order[rank] = id;
}
