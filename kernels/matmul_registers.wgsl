// Matrix product for adapters on which barriers cost and loads dominate (CPUs): each thread keeps a tile of ROWS x (4 VECS)
// results in registers; no workgroup memory, no barrier.
//
// result [batch, m, n] = A [batch, m, k] * B [batch, k, n], f32 accumulation. A is stored as [k, m] if TRANSPOSE_A, B as
// [n, k] if TRANSPOSE_B; a batch stride of 0 shares one matrix among the batch.
//
// A workgroup is LANES threads wide and owns ROWS x (LANES * 4 VECS) results. With SHARE it is one subgroup: each thread
// loads 1 / LANES of the tile's part of A, and the others take it by subgroupBroadcast.
//
// Per turn of the loop a thread works on 4 values of k: ROWS vec4 of A ("units") and 4 VECS vec4 of B. A unit is 4 values of
// k in one row, or 4 rows at one k if TRANSPOSE_A; unit u then belongs to k number u / (ROWS / 4).
//
// VEC_A, VEC_B: the last axis of the operand as stored is a multiple of 4, so that it is read as vec4. TAIL: k is not a
// multiple of 4, what lies beyond it counts as 0. Rows and columns beyond m and n are computed from whatever is read there
// and not emitted. LANES (with SHARE), EMITS and 4 divide ROWS.
const TRANSPOSE_A = false;
const TRANSPOSE_B = false;
const HALF_A = false; // A is stored in f16
const HALF_B = false;
const VEC_A = true;
const VEC_B = true;
const TAIL = false;
const WIDE = true; // emit takes vec4
const SHARE = true;
const LANES = 8u;
const ROWS = 32u;
const VECS = 1u;
const EMITS = 2u; // rows that are emitted at a time
const LOADS = 4u; // vec4 of A that a thread loads in a turn: ROWS / LANES, or ROWS without SHARE
const GROUPS = 8u; // ROWS / 4
const SHIFTS = 30u; // (ROWS - EMITS) * VECS

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

fn load_a(at: u32) -> vec4<f32> {
  //#if VEC_A
  return vec4<f32>(a[at / 4u]);
  //#else
  return vec4<f32>(vec4(a[at], a[at + 1u], a[at + 2u], a[at + 3u]));
  //#end
}

fn load_b(at: u32) -> vec4<f32> {
  //#if VEC_B
  return vec4<f32>(b[at / 4u]);
  //#else
  return vec4<f32>(vec4(b[at], b[at + 1u], b[at + 2u], b[at + 3u]));
  //#end
}

// Zero for what lies beyond k: 4 values from `k` on, or at `k` all.
fn within_k(v: vec4<f32>, k: u32, along: bool) -> vec4<f32> {
  //#if TAIL
  return select(vec4(0.0), v, vec4(k) + select(vec4(0u), vec4(0u, 1u, 2u, 3u), along) < vec4(sizes.k));
  //#else
  return v;
  //#end
}

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

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let across = (sizes.n - 1u) / (LANES * VECS * 4u) + 1u;
  let down = (sizes.m - 1u) / ROWS + 1u;
  let tile = linear_workgroup(group, groups);
  let z = tile / (across * down);
  if (z >= sizes.batch) { return; }
  let row = tile / across % down * ROWS;
  let column = (tile % across * LANES * VECS + lane) * 4u;

  var at_a: array<u32, LOADS>;
  var a_k: array<u32, LOADS>; // the unit's k within a turn
  //#for i 0 LOADS
  //#if SHARE
  let unit$i = $i * LANES + lane;
  //#else
  let unit$i = u32($i);
  //#end
  //#if TRANSPOSE_A
  a_k[$i] = unit$i / (ROWS / 4u);
  at_a[$i] = z * sizes.a_stride + a_k[$i] * sizes.m + row + unit$i % (ROWS / 4u) * 4u;
  //#else
  at_a[$i] = z * sizes.a_stride + (row + unit$i) * sizes.k;
  //#end
  //#end
  let at_b = z * sizes.b_stride + column * select(1u, sizes.k, TRANSPOSE_B);

  var sums: array<vec4<f32>, ROWS * VECS>;
  for (var k = 0u; k < sizes.k; k += 4u) {
    var own: array<vec4<f32>, LOADS>;
    //#for i 0 LOADS
    //#if TRANSPOSE_A
    own[$i] = within_k(load_a(at_a[$i] + k * sizes.m), k + a_k[$i], false);
    //#else
    own[$i] = within_k(load_a(at_a[$i] + k), k, true);
    //#end
    //#end
    var part: array<vec4<f32>, 4u * VECS>; // B at k + j, columns v: part[j * VECS + v]
    //#for v 0 VECS
    {
      var read: array<vec4<f32>, 4>;
      //#for j 0 4
      //#if TRANSPOSE_B
      read[$j] = within_k(load_b(at_b + ($v * LANES * 4u + $j) * sizes.k + k), k, true);
      //#else
      read[$j] = within_k(load_b(at_b + (k + $j) * sizes.n + $v * LANES * 4u), k + $j, false);
      //#end
      //#end
      //#for j 0 4
      //#if TRANSPOSE_B
      part[$j * VECS + $v] = vec4(read[0][$j], read[1][$j], read[2][$j], read[3][$j]);
      //#else
      part[$j * VECS + $v] = read[$j];
      //#end
      //#end
    }
    //#end
    //#for g 0 GROUPS
    {
      var block: array<vec4<f32>, 4>; // 4 rows at 4 k: by row, by k if TRANSPOSE_A
      //#for i 0 4
      //#if SHARE
      //#if TRANSPOSE_A
      block[$i] = subgroupBroadcast(own[($i * GROUPS + $g) / LANES], ($i * GROUPS + $g) % LANES);
      //#else
      block[$i] = subgroupBroadcast(own[($g * 4u + $i) / LANES], ($g * 4u + $i) % LANES);
      //#end
      //#else
      //#if TRANSPOSE_A
      block[$i] = own[$i * GROUPS + $g];
      //#else
      block[$i] = own[$g * 4u + $i];
      //#end
      //#end
      //#end
      //#for r 0 4
      //#for j 0 4
      //#for v 0 VECS
      //#if TRANSPOSE_A
      sums[($g * 4u + $r) * VECS + $v] = fma(vec4(block[$j][$r]), part[$j * VECS + $v], sums[($g * 4u + $r) * VECS + $v]);
      //#else
      sums[($g * 4u + $r) * VECS + $v] = fma(vec4(block[$r][$j]), part[$j * VECS + $v], sums[($g * 4u + $r) * VECS + $v]);
      //#end
      //#end
      //#end
      //#end
    }
    //#end
  }

  // A few calls of emit in a loop, for what is fused into it is compiled for each: the rows move up to them in turn.
  for (var r = row; r < min(row + ROWS, sizes.m); r += EMITS) {
    //#for i 0 EMITS
    //#for v 0 VECS
    emit_at(z, r + $i, column + $v * LANES * 4u, sums[$i * VECS + $v]);
    //#end
    //#end
    //#for i 0 SHIFTS
    sums[$i] = sums[$i + EMITS * VECS];
    //#end
  }
}
