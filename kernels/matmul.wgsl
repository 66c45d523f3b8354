// Matrix product, the plain reference: result [batch, m, n] = A [batch, m, k] * B [batch, k, n], f32 accumulation.
// One thread owns one result. A is stored as [k, m] if TRANSPOSE_A, B as [n, k] if TRANSPOSE_B; a batch stride of 0 shares
// one matrix among the batch.
const TRANSPOSE_A = false;
const TRANSPOSE_B = false;
const HALF_A = false; // A is stored in f16
const HALF_B = false;
const THREADS = 64u;

//#if HALF_A
alias ElementA = f16;
//#else
alias ElementA = f32;
//#end
//#if HALF_B
alias ElementB = f16;
//#else
alias ElementB = f32;
//#end

struct Sizes {
  m: u32,
  n: u32,
  k: u32,
  batch: u32,
  a_stride: u32, // elements between the matrices of A's batch
  b_stride: u32,
}

@group(0) @binding(0) var<storage, read_write> a: array<ElementA>;
@group(0) @binding(1) var<storage, read_write> b: array<ElementB>;
@group(0) @binding(2) var<uniform> sizes: Sizes;
//#hook emit

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
  let i = linear_workgroup(group, groups) * THREADS + thread;
  if (i >= sizes.batch * sizes.m * sizes.n) { return; }
  let column = i % sizes.n;
  let row = i / sizes.n % sizes.m;
  let z = i / sizes.n / sizes.m;
  let a_step = select(1u, sizes.m, TRANSPOSE_A);
  let b_step = select(sizes.n, 1u, TRANSPOSE_B);
  var at_a = z * sizes.a_stride + row * select(sizes.k, 1u, TRANSPOSE_A);
  var at_b = z * sizes.b_stride + column * select(1u, sizes.k, TRANSPOSE_B);
  var sum = 0.0;
  for (var k = 0u; k < sizes.k; k++) {
    sum = fma(f32(a[at_a]), f32(b[at_b]), sum);
    at_a += a_step;
    at_b += b_step;
  }
  emit(i, sum);
}
