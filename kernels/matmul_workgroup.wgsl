// Matrix product for GPUs: a workgroup owns a tile of results, stages STAGED values of k of both operands in workgroup memory,
// and each thread keeps ROWS x (4 VECS) results in registers.
//
// result [batch, m, n] = A [batch, m, k] * B [batch, k, n], f32 accumulation. A is stored as [k, m] if TRANSPOSE_A, B as
// [n, k] if TRANSPOSE_B; a batch stride of 0 shares one matrix among the batch. With more than one part the inner axis is cut
// into parts of `part` values each (a multiple of STAGED) and the partial results [parts, batch, m, n] go to `emit`.
//
// Each thread loads one block of 4 x 4 elements of A or of B per turn, one turn ahead of their use, and stores it k by k:
// 16 THREADS_X THREADS_Y = STAGED * (tile rows + tile columns). The results of a thread are ROWS / 4 groups of 4 neighbouring
// rows and VECS groups of 4 neighbouring columns; the groups lie as far apart as the tile allows, so that neighbouring threads
// read neighbouring vec4 of workgroup memory.
//
// VEC_A, VEC_B: the last axis of the operand as stored is a multiple of 4, so that it is read as vec4. What lies beyond k
// counts as 0; rows and columns beyond m and n are computed from whatever is read there and not emitted.
const TRANSPOSE_A = false;
const TRANSPOSE_B = false;
const HALF_A = false; // A is stored in f16
const HALF_B = false;
const VEC_A = true;
const VEC_B = true;
const WIDE = true; // emit takes vec4
const THREADS_X = 8u;
const THREADS_Y = 8u;
const ROWS = 8u;
const VECS = 2u;
const STAGED = 8u;
const GROUPS = 2u; // ROWS / 4
const SHIFTS = 14u; // (ROWS - 1) * VECS
const UNROLL = 1u; // divides 4, for place(); more makes Intel GPUs spill registers
const BAND = 8u; // tile rows that are walked together, so that their operands stay in the cache

const TILE_M = THREADS_Y * ROWS;
const TILE_N = THREADS_X * VECS * 4u;
const PITCH_A = TILE_M / 4u;
const PITCH_B = TILE_N / 4u;
const BLOCKS_A = TILE_M * STAGED / 16u;

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
  parts: u32,
  part: u32,
}

//#if VEC_A
@group(0) @binding(0) var<storage, read_write> a: array<vec4<ElementA>>;
//#else
@group(0) @binding(0) var<storage, read_write> a: array<ElementA>;
//#end
//#if VEC_B
@group(0) @binding(1) var<storage, read_write> b: array<vec4<ElementB>>;
//#else
@group(0) @binding(1) var<storage, read_write> b: array<ElementB>;
//#end
@group(0) @binding(2) var<uniform> sizes: Sizes;
//#hook emit

var<workgroup> tile_a: array<vec4<f32>, STAGED * PITCH_A>;
var<workgroup> tile_b: array<vec4<f32>, STAGED * PITCH_B>;

// 4 neighbours in memory; the first `count` of them, the others 0.
fn load_a(at: u32, count: u32) -> vec4<f32> {
  //#if VEC_A
  if (count == 0u) { return vec4(0.0); }
  return vec4<f32>(a[at / 4u]);
  //#else
  return select(vec4(0.0), vec4<f32>(vec4(a[at], a[at + 1u], a[at + 2u], a[at + 3u])), vec4(0u, 1u, 2u, 3u) < vec4(count));
  //#end
}

fn load_b(at: u32, count: u32) -> vec4<f32> {
  //#if VEC_B
  if (count == 0u) { return vec4(0.0); }
  return vec4<f32>(b[at / 4u]);
  //#else
  return select(vec4(0.0), vec4<f32>(vec4(b[at], b[at + 1u], b[at + 2u], b[at + 3u])), vec4(0u, 1u, 2u, 3u) < vec4(count));
  //#end
}

// 4 rows of A from `row` on, at 4 values of k: one column of the matrix for each k.
fn read_a(z: u32, row: u32, k: u32, k_end: u32) -> mat4x4<f32> {
  let left = k_end - min(k, k_end);
  //#if TRANSPOSE_A
  let at = z * sizes.a_stride + k * sizes.m + row;
  return mat4x4(
    //#for i 0 4
    load_a(at + $i * sizes.m, select(0u, 4u, $i < left)),
    //#end
  );
  //#else
  let at = z * sizes.a_stride + row * sizes.k + k;
  return transpose(mat4x4(
    //#for i 0 4
    load_a(at + $i * sizes.k, left),
    //#end
  ));
  //#end
}

// 4 columns of B from `column` on, likewise.
fn read_b(z: u32, column: u32, k: u32, k_end: u32) -> mat4x4<f32> {
  let left = k_end - min(k, k_end);
  //#if TRANSPOSE_B
  let at = z * sizes.b_stride + column * sizes.k + k;
  return transpose(mat4x4(
    //#for i 0 4
    load_b(at + $i * sizes.k, left),
    //#end
  ));
  //#else
  let at = z * sizes.b_stride + k * sizes.n + column;
  return mat4x4(
    //#for i 0 4
    load_b(at + $i * sizes.n, select(0u, 4u, $i < left)),
    //#end
  );
  //#end
}

// Where the vec4 `x` of a row of workgroup memory lies: every four rows in another order, so that blocks that are neighbours along
// k are stored to different banks, without memory beside the tile.
fn place(k: u32, x: u32) -> u32 { return x ^ ((k / 4u) & 3u); }

fn emit_at(z: u32, row: u32, column: u32, v: vec4<f32>) {
  if (row >= sizes.m) { return; }
  let at = (z * sizes.m + row) * sizes.n + column;
  //#if WIDE
  if (column < sizes.n) { emit(at, v); }
  //#else
  var rest = v;
  for (var c = 0u; c < min(4u, sizes.n - min(column, sizes.n)); c++) {
    emit(at + c, rest.x);
    rest = rest.yzww;
  }
  //#end
}

@compute @workgroup_size(THREADS_X, THREADS_Y)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let across = (sizes.n - 1u) / TILE_N + 1u;
  let down = (sizes.m - 1u) / TILE_M + 1u;
  let number = linear_workgroup(group, groups);
  let matrix = number / (across * down); // part, then batch
  if (matrix >= sizes.parts * sizes.batch) { return; }
  let z = matrix % sizes.batch;
  let k_first = matrix / sizes.batch * sizes.part;
  let k_end = min(sizes.k, k_first + sizes.part);
  // Bands of tile rows; inside a band down first, then across.
  let tile = number % (across * down);
  let band = tile / (BAND * across);
  let height = min(BAND, down - band * BAND);
  let in_band = tile % (BAND * across);
  let row_tile = (band * BAND + in_band % height) * TILE_M;
  let column_tile = in_band / height * TILE_N;

  // The block that this thread loads: neighbouring threads go along the axis that is contiguous in memory.
  let for_a = thread < BLOCKS_A;
  let block = select(thread - BLOCKS_A, thread, for_a);
  let across_tile = select(TILE_N / 4u, TILE_M / 4u, for_a);
  let along_k = (for_a && !TRANSPOSE_A) || (!for_a && TRANSPOSE_B);
  let block_x = select(block % across_tile, block / (STAGED / 4u), along_k);
  let block_k = select(block / across_tile, block % (STAGED / 4u), along_k) * 4u;

  let block_at = place(block_k, block_x);

  var sums: array<vec4<f32>, ROWS * VECS>;
  var next: mat4x4<f32>;
  if (for_a) {
    next = read_a(z, row_tile + block_x * 4u, k_first + block_k, k_end);
  } else {
    next = read_b(z, column_tile + block_x * 4u, k_first + block_k, k_end);
  }
  for (var k = k_first; k < k_end; k += STAGED) {
    workgroupBarrier();
    if (for_a) {
      //#for j 0 4
      tile_a[(block_k + $j) * PITCH_A + block_at] = next[$j];
      //#end
    } else {
      //#for j 0 4
      tile_b[(block_k + $j) * PITCH_B + block_at] = next[$j];
      //#end
    }
    workgroupBarrier();
    if (for_a) {
      next = read_a(z, row_tile + block_x * 4u, k + STAGED + block_k, k_end);
    } else {
      next = read_b(z, column_tile + block_x * 4u, k + STAGED + block_k, k_end);
    }
    for (var s = 0u; s < STAGED; s += UNROLL) {
      let own_x = place(s, local.x);
      let own_y = place(s, local.y);
      //#for j 0 UNROLL
      {
        //#for v 0 VECS
        let b$v = tile_b[(s + $j) * PITCH_B + $v * THREADS_X + own_x];
        //#end
        //#for g 0 GROUPS
        {
          let x = tile_a[(s + $j) * PITCH_A + $g * THREADS_Y + own_y];
          //#for r 0 4
          //#for v 0 VECS
          sums[($g * 4 + $r) * VECS + $v] = fma(vec4(x[$r]), b$v, sums[($g * 4 + $r) * VECS + $v]);
          //#end
          //#end
        }
        //#end
      }
      //#end
    }
  }

  // One row of emit calls in a loop, for what is fused into it is compiled for each: the rows move up to it in turn.
  for (var i = 0u; i < ROWS; i++) {
    let row = row_tile + (i / 4u * THREADS_Y + local.y) * 4u + i % 4u;
    //#for v 0 VECS
    emit_at(matrix, row, column_tile + ($v * THREADS_X + local.x) * 4u, sums[$v]);
    //#end
    //#for i 0 SHIFTS
    sums[$i] = sums[$i + VECS];
    //#end
  }
}
