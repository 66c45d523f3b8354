// Fused attention, backward, for every head by itself: the probabilities P = exp(scale q k' + mask - top) / sum are
// computed again, from the norms (top, 1 / sum) that attention_forward.wgsl leaves of each row.
// With K = the kept and rescaled places of the dropout (1 everywhere without), g the gradient of out, delta = rowsum(g * out):
//
//   dS = P * (K * (g v') - delta),   dq = scale dS k,   dk = scale dS' q,   dv = (K * P)' g
//
// Two variants of one text, so that every result has one owner and no atomics are needed:
//   rows (not COLUMNS)   a thread owns query rows:  own_x = q, own_y = g;  other_x = k, other_y = v;  dx = dq; leaves delta
//   COLUMNS              a thread owns keys:        own_x = k, own_y = v;  other_x = q, other_y = g;  dx = dk, dy = dv
// Each thread keeps ROWS rows of its own side and their gradients in registers, the other side streams by, KEYS rows at a step.
// Shapes, masks, SHARED and the bits of the dropout: see attention_forward.wgsl. delta is [B, heads, Tq]. dx and dy have all heads
// of queries, also where heads of keys are shared. A row that is empty has a norm of 0, and so are its probabilities.
// WIDTH, PARTS, sizes, read_NAME(at, part) and write_NAME(at, part, value): attention_heads.wgsl.
const ROWS = 4u; // own rows of a thread
const KEYS = 4u; // other rows of a step
const THREADS = 8u; // threads of a workgroup
const LOADS = 4u; // vec4 that a lane loads for a step: KEYS * PARTS / THREADS, rounded up
const TILE = 8u; // other rows of a tile, a multiple of 8 that divides THREADS * ROWS; 8 if not SHARED
const SHARED = false;
const COLUMNS = false;
const MASK_KEYS = false;
const MASK_ROWS = false;
const CAUSAL = false;
const DROPOUT = false;
const PACKED = false; // norms, delta and the key are in one buffer: see attention_pack.wgsl

@group(0) @binding(1) var<storage, read_write> own_x: array<Element>;
@group(0) @binding(2) var<storage, read_write> own_y: array<Element>;
@group(0) @binding(3) var<storage, read_write> other_x: array<Element>;
@group(0) @binding(4) var<storage, read_write> other_y: array<Element>;
//#if MASK_KEYS
@group(0) @binding(7) var<storage, read_write> mask: array<f32>;
//#end
//#if MASK_ROWS
@group(0) @binding(7) var<storage, read_write> mask: array<f32>;
//#end
@group(0) @binding(9) var<storage, read_write> dx: array<Element>;
//#if COLUMNS
@group(0) @binding(10) var<storage, read_write> dy: array<Element>;
//#end
//#if PACKED
@group(0) @binding(5) var<storage, read_write> packed: array<vec4<u32>>;
fn norm_at(row: u32) -> vec2<f32> { return bitcast<vec2<f32>>(packed[row].xy); }
fn delta_at(row: u32) -> f32 { return bitcast<f32>(packed[row].z); }
fn drawn_key() -> vec2<u32> { return packed[sizes.batch * sizes.heads * sizes.tq].xy; }
//#else
@group(0) @binding(5) var<storage, read_write> norms: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> delta: array<f32>;
fn norm_at(row: u32) -> vec2<f32> { return norms[row]; }
fn delta_at(row: u32) -> f32 { return delta[row]; }
//#if COLUMNS
//#else
@group(0) @binding(11) var<storage, read_write> out: array<Element>;
//#end
//#if DROPOUT
@group(0) @binding(8) var<storage, read_write> random_key: array<u32>;
fn drawn_key() -> vec2<u32> { return vec2<u32>(random_key[0], random_key[1]); }
//#end
//#end

//#if SHARED
var<workgroup> tile_x: array<vec4<f32>, TILE * PARTS>;
var<workgroup> tile_y: array<vec4<f32>, TILE * PARTS>;
//#if COLUMNS
//#if DROPOUT
const EIGHTS = THREADS * ROWS / 8u; // groups of eight keys in a workgroup
var<workgroup> tile_bits: array<vec4<u32>, TILE * EIGHTS>;
//#end
//#end
//#end

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  //#if COLUMNS
  let own_count = sizes.tk;
  let other_count = sizes.tq;
  //#else
  let own_count = sizes.tq;
  let other_count = sizes.tk;
  //#end
  let number = linear_workgroup(id, count);
  let blocks = (own_count + ROWS * THREADS - 1u) / (ROWS * THREADS);
  let group = number / blocks;
  let batch = group / sizes.heads;
  if (batch >= sizes.batch) { return; }
  let head = group % sizes.heads;
  let first = (number % blocks) * ROWS * THREADS;
  //#if COLUMNS
  let own_depth = sizes.key_depth;
  let own_column = head / sizes.sharers * WIDTH;
  let other_depth = sizes.depth;
  let other_column = head * WIDTH;
  //#else
  let own_depth = sizes.depth;
  let own_column = head * WIDTH;
  let other_depth = sizes.key_depth;
  let other_column = head / sizes.sharers * WIDTH;
  //#end
  let mask_keys = batch * sizes.mask_batch + head * sizes.mask_head;

  var x: array<vec4<f32>, ROWS * PARTS>;
  var y: array<vec4<f32>, ROWS * PARTS>;
  var dx: array<vec4<f32>, ROWS * PARTS>;
  // PARTS, but unknown to the compiler: see attention_forward.wgsl.
  let parts = min(PARTS, sizes.depth);
  var own: array<u32, ROWS>;
  //#if COLUMNS
  var dy: array<vec4<f32>, ROWS * PARTS>;
  var own_bias: array<f32, ROWS>;
  //#else
  var own_norm: array<vec2<f32>, ROWS>;
  var own_delta: array<f32, ROWS>;
  //#end
  //#for r 0 ROWS
  own[$r] = min(first + $r * THREADS + lane, own_count - 1u);
  let at_own$r = (batch * own_count + own[$r]) * own_depth + own_column;
  for (var part = 0u; part < parts; part++) {
    let x_part = sizes.scale * read_own_x(at_own$r, part);
    let y_part = read_own_y(at_own$r, part);
    //#for c 0 PARTS
    x[$r * PARTS + $c] = select(x[$r * PARTS + $c], x_part, part == $c);
    y[$r * PARTS + $c] = select(y[$r * PARTS + $c], y_part, part == $c);
    //#end
  }
  //#if COLUMNS
  own_bias[$r] = 0.0;
  //#if MASK_KEYS
  own_bias[$r] = bounded(mask[mask_keys + own[$r]]);
  //#end
  //#else
  own_norm[$r] = norm_at(group * sizes.tq + own[$r]);
  //#if PACKED
  own_delta[$r] = delta_at(group * sizes.tq + own[$r]);
  //#else
  own_delta[$r] = 0.0;
  for (var part = 0u; part < parts; part++) {
    own_delta[$r] += dot(read_own_y(at_own$r, part), read_out(at_own$r, part));
  }
  if (first + $r * THREADS + lane < own_count) { delta[group * sizes.tq + own[$r]] = own_delta[$r]; }
  //#end
  //#end
  //#end

  var begin = 0u;
  var limit = other_count;
  //#if CAUSAL
  //#if COLUMNS
  // The first row that sees the first key.
  begin = (max(first + sizes.tq, sizes.tk) - sizes.tk) / TILE * TILE;
  //#else
  let end = first + ROWS * THREADS + sizes.tk;
  limit = min(limit, end - min(end, sizes.tq));
  //#end
  //#end
  let base = batch * other_count * other_depth + other_column;
  for (var tile = begin; tile < limit; tile += TILE) {
    //#if SHARED
    workgroupBarrier();
    for (var i = lane; i < TILE * PARTS; i += THREADS) {
      let at = base + min(tile + i / PARTS, other_count - 1u) * other_depth;
      tile_x[i] = read_other_x(at, i % PARTS);
      tile_y[i] = read_other_y(at, i % PARTS);
    }
    //#if COLUMNS
    //#if DROPOUT
    for (var i = lane; i < TILE * EIGHTS; i += THREADS) {
      let counter = vec4<u32>(first / 8u + i % EIGHTS, tile + i / EIGHTS, group, sizes.stream);
      tile_bits[i] = philox4x32(counter, drawn_key());
    }
    //#end
    //#end
    workgroupBarrier();
    //#end
    for (var eight = tile; eight < min(tile + TILE, limit); eight += 8u) {
      let stop = min(8u, limit - eight);
      //#if SHARED
      //#else
      let lane_other = min(eight + lane, other_count - 1u);
      //#if COLUMNS
      let lane_norm = norm_at(group * sizes.tq + lane_other);
      let lane_delta = delta_at(group * sizes.tq + lane_other);
      //#else
      //#if MASK_KEYS
      let lane_bias = bounded(mask[mask_keys + lane_other]);
      //#end
      //#end
      //#end
      //#if DROPOUT
      var bits: array<vec4<u32>, ROWS>;
      //#for r 0 ROWS
      //#if COLUMNS
      //#if SHARED
      //#else
      // A lane draws the bits of one row and eight keys; the lanes exchange them below.
      let counter$r = vec4<u32>((first + $r * THREADS) / 8u, eight + lane, group, sizes.stream);
      bits[$r] = philox4x32(counter$r, drawn_key());
      //#end
      //#else
      bits[$r] = philox4x32(vec4<u32>(eight / 8u, own[$r], group, sizes.stream), drawn_key());
      //#end
      //#end
      //#end
      for (var j = 0u; j < stop; j += KEYS) {
        let other = eight + j;
        //#if SHARED
        let in_tile = (other - tile) * PARTS;
        //#else
        var xs: array<vec4<f32>, LOADS>;
        var ys: array<vec4<f32>, LOADS>;
        //#for n 0 LOADS
        let share$n = lane + $n * THREADS;
        let at$n = base + min(other + share$n / PARTS, other_count - 1u) * other_depth;
        xs[$n] = read_other_x(at$n, share$n % PARTS);
        ys[$n] = read_other_y(at$n, share$n % PARTS);
        //#end
        //#end

        // Scores, and products of the gradient with the values.
        var s = array<f32, KEYS * ROWS>();
        var s_odd = array<f32, KEYS * ROWS>();
        var g = array<f32, KEYS * ROWS>();
        var g_odd = array<f32, KEYS * ROWS>();
        //#for c 0 PARTS
        //#for t 0 KEYS
        {
          //#if SHARED
          let a = tile_x[in_tile + $t * PARTS + $c];
          //#else
          let a = subgroupBroadcast(xs[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
          //#end
          //#for r 0 ROWS
          s[$t * ROWS + $r] = fma(x[$r * PARTS + $c].x, a.x, s[$t * ROWS + $r]);
          s_odd[$t * ROWS + $r] = fma(x[$r * PARTS + $c].y, a.y, s_odd[$t * ROWS + $r]);
          s[$t * ROWS + $r] = fma(x[$r * PARTS + $c].z, a.z, s[$t * ROWS + $r]);
          s_odd[$t * ROWS + $r] = fma(x[$r * PARTS + $c].w, a.w, s_odd[$t * ROWS + $r]);
          //#end
        }
        //#end
        //#end
        //#for c 0 PARTS
        //#for t 0 KEYS
        {
          //#if SHARED
          let b = tile_y[in_tile + $t * PARTS + $c];
          //#else
          let b = subgroupBroadcast(ys[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
          //#end
          //#for r 0 ROWS
          g[$t * ROWS + $r] = fma(y[$r * PARTS + $c].x, b.x, g[$t * ROWS + $r]);
          g_odd[$t * ROWS + $r] = fma(y[$r * PARTS + $c].y, b.y, g_odd[$t * ROWS + $r]);
          g[$t * ROWS + $r] = fma(y[$r * PARTS + $c].z, b.z, g[$t * ROWS + $r]);
          g_odd[$t * ROWS + $r] = fma(y[$r * PARTS + $c].w, b.w, g_odd[$t * ROWS + $r]);
          //#end
        }
        //#end
        //#end

        // s becomes dS, g becomes the probabilities after dropout.
        //#for t 0 KEYS
        {
          let valid = other + $t < limit;
          //#if COLUMNS
          //#if SHARED
          let at = group * sizes.tq + min(other + $t, sizes.tq - 1u);
          let row_norm = norm_at(at);
          let row_delta = delta_at(at);
          //#else
          let row_norm = subgroupShuffle(lane_norm, j + $t);
          let row_delta = subgroupShuffle(lane_delta, j + $t);
          //#end
          //#else
          var bias = 0.0;
          //#if MASK_KEYS
          //#if SHARED
          bias = bounded(mask[mask_keys + min(other + $t, sizes.tk - 1u)]);
          //#else
          bias = subgroupShuffle(lane_bias, j + $t);
          //#end
          //#end
          //#end
          //#for r 0 ROWS
          {
            //#if COLUMNS
            var bias = own_bias[$r];
            //#if MASK_ROWS
            bias = bounded(mask[mask_keys + min(other + $t, sizes.tq - 1u) * sizes.mask_row + own[$r]]);
            //#end
            //#else
            //#if MASK_ROWS
            bias = bounded(mask[mask_keys + own[$r] * sizes.mask_row + min(other + $t, sizes.tk - 1u)]);
            //#end
            let row_norm = own_norm[$r];
            let row_delta = own_delta[$r];
            //#end
            var seen = valid;
            //#if CAUSAL
            //#if COLUMNS
            seen = seen && sees(other + $t, own[$r]);
            //#else
            seen = seen && sees(own[$r], other + $t);
            //#end
            //#end
            // No score is above top, but computed again it may round to one that is: by 64 beside a mask of -1e9.
            let below = min(s[$t * ROWS + $r] + s_odd[$t * ROWS + $r] + bias - row_norm.x, 0.0);
            let p = row_norm.y * exp(select(MASKED, below, seen));
            var keep = 1.0;
            //#if DROPOUT
            //#if COLUMNS
            //#if SHARED
            let drawn = tile_bits[(other + $t - tile) * EIGHTS + ($r * THREADS + lane) / 8u];
            //#else
            let drawn = subgroupShuffle(bits[$r], j + $t);
            //#end
            let pair = select(drawn.xy, drawn.zw, (lane & 4u) != 0u);
            let word = select(pair.x, pair.y, (lane & 2u) != 0u) >> (16u * (lane & 1u));
            //#else
            let word = bits[$r][(j + $t) / 2u] >> (16u * ((j + $t) % 2u));
            //#end
            keep = select(sizes.keep, 0.0, (word & 0xffffu) < sizes.threshold);
            //#end
            s[$t * ROWS + $r] = p * fma(keep, g[$t * ROWS + $r] + g_odd[$t * ROWS + $r], -row_delta);
            g[$t * ROWS + $r] = p * keep;
          }
          //#end
        }
        //#end

        // Gradients.
        //#for c 0 PARTS
        //#for t 0 KEYS
        {
          //#if SHARED
          let a = tile_x[in_tile + $t * PARTS + $c];
          //#else
          let a = subgroupBroadcast(xs[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
          //#end
          //#for r 0 ROWS
          dx[$r * PARTS + $c] = fma(vec4<f32>(s[$t * ROWS + $r]), a, dx[$r * PARTS + $c]);
          //#end
        }
        //#end
        //#end
        //#if COLUMNS
        //#for c 0 PARTS
        //#for t 0 KEYS
        {
          //#if SHARED
          let b = tile_y[in_tile + $t * PARTS + $c];
          //#else
          let b = subgroupBroadcast(ys[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
          //#end
          //#for r 0 ROWS
          dy[$r * PARTS + $c] = fma(vec4<f32>(g[$t * ROWS + $r]), b, dy[$r * PARTS + $c]);
          //#end
        }
        //#end
        //#end
        //#end
      }
    }
  }

  //#for r 0 ROWS
  if (first + $r * THREADS + lane < own_count) {
    let at_dx = (batch * own_count + own[$r]) * sizes.depth + head * WIDTH;
    for (var part = 0u; part < parts; part++) {
      var dx_part = vec4<f32>();
      //#for c 0 PARTS
      dx_part = select(dx_part, dx[$r * PARTS + $c], part == $c);
      //#end
      write_dx(at_dx, part, sizes.scale * dx_part);
      //#if COLUMNS
      var dy_part = vec4<f32>();
      //#for c 0 PARTS
      dy_part = select(dy_part, dy[$r * PARTS + $c], part == $c);
      //#end
      write_dy(at_dx, part, dy_part);
      //#end
    }
  }
  //#end
}
