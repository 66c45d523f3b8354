// What the two backward kernels of attention read of each row, in one buffer: for adapters that bind too few to have it apart.
//   packed[row] = bits of (top, 1 / sum, delta, 0) for each row of [B, heads, Tq], with delta = rowsum(grad * out)
//   packed[B heads Tq] = (the words of the dropout's key, 0, 0)
// One thread owns one row, one more the key. WIDTH, PARTS, sizes, read_NAME(at, part): attention_heads.wgsl.
const DROPOUT = false;
const THREADS = 64u;

@group(0) @binding(1) var<storage, read_write> grad: array<Element>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;
@group(0) @binding(3) var<storage, read_write> norms: array<vec2<f32>>;
//#if DROPOUT
@group(0) @binding(4) var<storage, read_write> random_key: array<u32>;
//#end
@group(0) @binding(5) var<storage, read_write> packed: array<vec4<u32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let row = linear_workgroup(id, count) * THREADS + lane;
  let rows = sizes.batch * sizes.heads * sizes.tq;
  //#if DROPOUT
  if (row == rows) { packed[row] = vec4<u32>(random_key[0], random_key[1], 0u, 0u); }
  //#end
  if (row >= rows) { return; }
  let group = row / sizes.tq;
  let at = (group / sizes.heads * sizes.tq + row % sizes.tq) * sizes.depth + group % sizes.heads * WIDTH;
  var delta = 0.0;
  for (var part = 0u; part < PARTS; part++) { delta += dot(read_grad(at, part), read_out(at, part)); }
  packed[row] = vec4<u32>(bitcast<vec2<u32>>(norms[row]), bitcast<u32>(delta), 0u);
}
