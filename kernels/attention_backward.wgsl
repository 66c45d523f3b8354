// Fused attention, backward, for every head by itself: the probabilities P = exp(scale q k' + mask - top) / sum are
// computed again, from the norms (top, 1 / sum) that attention_forward.wgsl leaves of each row.
// With K = the kept and rescaled places of the dropout (1 everywhere without), g the gradient of out, delta = rowsum(g * out):
//
//   dS = P * (K * (g v') - delta),   dq = scale dS k,   dk = scale dS' q,   dv = (K * P)' g
//
// Two variants of one text, so that every result has one owner and no atomics are needed:
//   rows (not COLUMNS)   a thread owns query rows:  own_x = q, own_y = g;  other_x = k, other_y = v;  x_grad = dq; leaves delta
//   COLUMNS              a thread owns keys:        own_x = k, own_y = v;  other_x = q, other_y = g;  x_grad = dk, y_grad = dv
// Each thread keeps ROWS rows of its own side and their gradients in registers, or the part of them that it owns; the other side
// streams by, KEYS rows at a step.
// Shapes, masks, SHARED, EXCHANGE and the bits of the dropout: see attention_forward.wgsl. delta is [B, heads, Tq]. x_grad and y_grad have all heads
// of queries, also where heads of keys are shared. A row that is empty has a norm of 0, and so are its probabilities.
// WIDTH, PARTS, sizes, read_NAME(at, part) and write_NAME(at, part, value): attention_heads.wgsl.
const ROWS = 4u; // own rows of a thread
const KEYS = 4u; // other rows of a step
const THREADS = 8u; // threads of a workgroup: HEIGHT * SPLIT
const HEIGHT = 8u; // rows of a workgroup that the threads have at a time, a multiple of 8
const SPLIT = 1u; // threads that share a head; 1 if not SHARED
const OWN = 8u; // vec4 of a head that a thread owns: PARTS / SPLIT
const OWNED = 32u; // of its rows: ROWS * OWN
const LOADS = 4u; // vec4 that a lane loads for a step: KEYS * PARTS / THREADS, rounded up
const TILE = 8u; // other rows in workgroup memory, 8 or a divisor of it that KEYS divides; 8 if not SHARED
const SHARED = false;
const EXCHANGE = true;
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
@group(0) @binding(9) var<storage, read_write> x_grad: array<Element>;
//#if COLUMNS
@group(0) @binding(10) var<storage, read_write> y_grad: array<Element>;
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
const PITCH = THREADS + 1u; // see attention_forward.wgsl
// Scores and products of the gradient with the values; then dS and the probabilities after dropout.
var<workgroup> pairs: array<vec2<f32>, TILE * PITCH>;
//#if DROPOUT
//#if COLUMNS
const EIGHTS = HEIGHT / 8u; // groups of eight keys in a workgroup
var<workgroup> tile_bits: array<vec4<u32>, TILE * EIGHTS>;
//#else
var<workgroup> tile_bits: array<vec4<u32>, HEIGHT>;
//#end
//#end
//#end

// dS and the probability after dropout of a score and the product of the gradient with the values.
fn finish(score: f32, product: f32, norm: vec2<f32>, delta: f32, seen: bool, keep: f32) -> vec2<f32> {
  // No score is above top, but computed again it may round to one that is: by 64 beside a mask of -1e9.
  let below = min(score - norm.x, 0.0);
  let p = norm.y * exp(select(MASKED, below, seen));
  return p * vec2<f32>(fma(keep, product, -delta), keep);
}

// What dropout makes of a probability, from the 16 bits of `word` that begin at `shift`.
fn kept(word: u32, shift: u32) -> f32 {
  return select(sizes.keep, 0.0, ((word >> shift) & 0xffffu) < sizes.threshold);
}

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
  let blocks = (own_count + ROWS * HEIGHT - 1u) / (ROWS * HEIGHT);
  let group = number / blocks;
  let batch = group / sizes.heads;
  if (batch >= sizes.batch) { return; }
  let head = group % sizes.heads;
  let first = (number % blocks) * ROWS * HEIGHT;
  let own_row = lane / SPLIT;
  let split = lane % SPLIT;
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

  var x: array<vec4<f32>, ROWS * OWN>;
  var y: array<vec4<f32>, ROWS * OWN>;
  var x_grad: array<vec4<f32>, ROWS * OWN>;
  var own: array<u32, ROWS>;
  //#if COLUMNS
  var y_grad: array<vec4<f32>, ROWS * OWN>;
  var own_bias: array<f32, ROWS>;
  //#else
  var own_norm: array<vec2<f32>, ROWS>;
  var own_delta: array<f32, ROWS>;
  //#end
  //#for r 0 ROWS
  own[$r] = min(first + $r * HEIGHT + own_row, own_count - 1u);
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
  //#end
  //#end
  //#end
  // In a loop, from an unknown number: see attention_forward.wgsl.
  for (var turn = number; turn < number + OWNED; turn++) {
    let i = turn - number;
    let at = (batch * own_count + min(first + i / OWN * HEIGHT + own_row, own_count - 1u)) * own_depth + own_column;
    let x_own = sizes.scale * read_own_x(at, i % OWN * SPLIT + split);
    let y_own = read_own_y(at, i % OWN * SPLIT + split);
    //#for c 0 OWNED
    x[$c] = select(x[$c], x_own, i == $c);
    y[$c] = select(y[$c], y_own, i == $c);
    //#end
    //#if COLUMNS
    //#else
    //#if PACKED
    //#else
    let products = dot(y_own, read_out(at, i % OWN * SPLIT + split));
    //#for r 0 ROWS
    own_delta[$r] += select(0.0, products, i / OWN == $r);
    //#end
    //#end
    //#end
  }
  //#if COLUMNS
  //#else
  //#if PACKED
  //#else
  //#for r 0 ROWS
  //#if SHARED
  pairs[lane].x = own_delta[$r];
  workgroupBarrier();
  own_delta[$r] = pairs[own_row * SPLIT].x;
  //#for p 1 SPLIT
  own_delta[$r] += pairs[own_row * SPLIT + $p].x;
  //#end
  //#end
  if (split == 0u && first + $r * HEIGHT + own_row < own_count) { delta[group * sizes.tq + own[$r]] = own_delta[$r]; }
  //#end
  //#end
  //#end

  var begin = 0u;
  var limit = other_count;
  //#if CAUSAL
  //#if COLUMNS
  // The first row that sees the first key.
  begin = (max(first + sizes.tq, sizes.tk) - sizes.tk) / 8u * 8u;
  //#else
  let end = first + ROWS * HEIGHT + sizes.tk;
  limit = min(limit, end - min(end, sizes.tq));
  //#end
  //#end
  let base = batch * other_count * other_depth + other_column;
  for (var tile = begin; tile < limit; tile += TILE) {
    let stop = min(TILE, limit - tile);
    //#if SHARED
    workgroupBarrier();
    for (var i = lane; i < TILE * PARTS; i += THREADS) {
      let at = base + min(tile + i / PARTS, other_count - 1u) * other_depth;
      tile_x[i] = read_other_x(at, i % PARTS);
      tile_y[i] = read_other_y(at, i % PARTS);
    }
    //#if DROPOUT
    //#if COLUMNS
    for (var i = lane; i < TILE * EIGHTS; i += THREADS) {
      let counter = vec4<u32>(first / 8u + i % EIGHTS, tile + i / EIGHTS, group, sizes.stream);
      tile_bits[i] = philox4x32(counter, drawn_key());
    }
    //#else
    for (var i = lane; i < HEIGHT; i += THREADS) {
      let counter = vec4<u32>(tile / 8u, min(first + i, own_count - 1u), group, sizes.stream);
      tile_bits[i] = philox4x32(counter, drawn_key());
    }
    //#end
    //#end
    workgroupBarrier();
    // Each thread its part of all scores and products, then all parts of some.
    for (var j = 0u; j < stop; j += KEYS) {
      var s = array<f32, KEYS>();
      var s_odd = array<f32, KEYS>();
      var g = array<f32, KEYS>();
      var g_odd = array<f32, KEYS>();
      //#for c 0 OWN
      //#for t 0 KEYS
      {
        let a = tile_x[(j + $t) * PARTS + $c * SPLIT + split];
        s[$t] = fma(x[$c].x, a.x, s[$t]);
        s_odd[$t] = fma(x[$c].y, a.y, s_odd[$t]);
        s[$t] = fma(x[$c].z, a.z, s[$t]);
        s_odd[$t] = fma(x[$c].w, a.w, s_odd[$t]);
        let b = tile_y[(j + $t) * PARTS + $c * SPLIT + split];
        g[$t] = fma(y[$c].x, b.x, g[$t]);
        g_odd[$t] = fma(y[$c].y, b.y, g_odd[$t]);
        g[$t] = fma(y[$c].z, b.z, g[$t]);
        g_odd[$t] = fma(y[$c].w, b.w, g_odd[$t]);
      }
      //#end
      //#end
      //#for t 0 KEYS
      pairs[(j + $t) * PITCH + lane] = vec2<f32>(s[$t] + s_odd[$t], g[$t] + g_odd[$t]);
      //#end
    }
    workgroupBarrier();
    for (var j = split; j < TILE; j += SPLIT) {
      let other = min(tile + j, other_count - 1u);
      let at = j * PITCH + own_row * SPLIT;
      var pair = pairs[at];
      //#for p 1 SPLIT
      pair += pairs[at + $p];
      //#end
      var seen = true;
      var keep = 1.0;
      //#if COLUMNS
      var bias = own_bias[0];
      //#if MASK_ROWS
      bias = bounded(mask[mask_keys + other * sizes.mask_row + own[0]]);
      //#end
      let norm = norm_at(group * sizes.tq + other);
      let row_delta = delta_at(group * sizes.tq + other);
      //#if CAUSAL
      seen = sees(other, own[0]);
      //#end
      //#if DROPOUT
      let bits = tile_bits[j * EIGHTS + own_row / 8u];
      keep = kept(bits[own_row % 8u / 2u], 16u * (own_row % 2u));
      //#end
      //#else
      var bias = 0.0;
      //#if MASK_KEYS
      bias = bounded(mask[mask_keys + other]);
      //#end
      //#if MASK_ROWS
      bias = bounded(mask[mask_keys + own[0] * sizes.mask_row + other]);
      //#end
      let norm = own_norm[0];
      let row_delta = own_delta[0];
      //#if CAUSAL
      seen = sees(own[0], other);
      //#end
      //#if DROPOUT
      keep = kept(tile_bits[own_row][other % 8u / 2u], 16u * (other % 2u));
      //#end
      //#end
      pair = finish(pair.x + bias, pair.y, norm, row_delta, seen, keep);
      pairs[at] = select(vec2<f32>(), pair, j < stop);
    }
    workgroupBarrier();
    for (var j = 0u; j < stop; j += KEYS) {
      //#for t 0 KEYS
      {
        let pair = pairs[(j + $t) * PITCH + own_row * SPLIT];
        //#for c 0 OWN
        x_grad[$c] = fma(vec4<f32>(pair.x), tile_x[(j + $t) * PARTS + $c * SPLIT + split], x_grad[$c]);
        //#if COLUMNS
        y_grad[$c] = fma(vec4<f32>(pair.y), tile_y[(j + $t) * PARTS + $c * SPLIT + split], y_grad[$c]);
        //#end
        //#end
      }
      //#end
    }
    //#else
    //#if EXCHANGE
    let lane_other = min(tile + lane, other_count - 1u);
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
    //#if EXCHANGE
    // A lane draws the bits of one row and eight keys; the lanes exchange them below.
    let counter$r = vec4<u32>((first + $r * THREADS + lane) / 8u, tile + (lane & 7u), group, sizes.stream);
    bits[$r] = philox4x32(counter$r, drawn_key());
    //#end
    //#else
    bits[$r] = philox4x32(vec4<u32>(tile / 8u, own[$r], group, sizes.stream), drawn_key());
    //#end
    //#end
    //#end
    // From `tile`: see attention_forward.wgsl.
    for (var other = tile; other < tile + stop; other += KEYS) {
      let j = other - tile;
      //#if EXCHANGE
      var xs: array<vec4<f32>, LOADS>;
      var ys: array<vec4<f32>, LOADS>;
      //#for n 0 LOADS
      let share$n = lane + $n * THREADS;
      let at$n = base + min(other + share$n / PARTS, other_count - 1u) * other_depth;
      xs[$n] = read_other_x(at$n, share$n % PARTS);
      ys[$n] = read_other_y(at$n, share$n % PARTS);
      //#end
      //#else
      //#for t 0 KEYS
      let at_other$t = base + min(other + $t, other_count - 1u) * other_depth;
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
        //#if EXCHANGE
        let a = subgroupBroadcast(xs[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
        //#else
        let a = read_other_x(at_other$t, $c);
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
        //#if EXCHANGE
        let b = subgroupBroadcast(ys[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
        //#else
        let b = read_other_y(at_other$t, $c);
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
        //#if COLUMNS
        //#if EXCHANGE
        let row_norm = subgroupShuffle(lane_norm, j + $t);
        let row_delta = subgroupShuffle(lane_delta, j + $t);
        //#else
        let row = group * sizes.tq + min(other + $t, sizes.tq - 1u);
        let row_norm = norm_at(row);
        let row_delta = delta_at(row);
        //#end
        //#else
        var bias = 0.0;
        //#if MASK_KEYS
        //#if EXCHANGE
        bias = subgroupShuffle(lane_bias, j + $t);
        //#else
        bias = bounded(mask[mask_keys + min(other + $t, sizes.tk - 1u)]);
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
          var seen = other + $t < limit;
          //#if CAUSAL
          //#if COLUMNS
          seen = seen && sees(other + $t, own[$r]);
          //#else
          seen = seen && sees(own[$r], other + $t);
          //#end
          //#end
          var keep = 1.0;
          //#if DROPOUT
          //#if COLUMNS
          //#if EXCHANGE
          let drawn = subgroupShuffle(bits[$r], (lane & 8u) + j + $t);
          //#else
          let drawn = philox4x32(vec4<u32>(own[$r] / 8u, other + $t, group, sizes.stream), drawn_key());
          //#end
          let two = select(drawn.xy, drawn.zw, (lane & 4u) != 0u);
          keep = kept(select(two.x, two.y, (lane & 2u) != 0u), 16u * (lane & 1u));
          //#else
          keep = kept(bits[$r][(j + $t) / 2u], 16u * ((j + $t) % 2u));
          //#end
          //#end
          let score = s[$t * ROWS + $r] + s_odd[$t * ROWS + $r] + bias;
          let pair = finish(score, g[$t * ROWS + $r] + g_odd[$t * ROWS + $r], row_norm, row_delta, seen, keep);
          s[$t * ROWS + $r] = pair.x;
          g[$t * ROWS + $r] = pair.y;
        }
        //#end
      }
      //#end

      // Gradients.
      //#for c 0 PARTS
      //#for t 0 KEYS
      {
        //#if EXCHANGE
        let a = subgroupBroadcast(xs[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
        //#else
        let a = read_other_x(at_other$t, $c);
        //#end
        //#for r 0 ROWS
        x_grad[$r * PARTS + $c] = fma(vec4<f32>(s[$t * ROWS + $r]), a, x_grad[$r * PARTS + $c]);
        //#end
      }
      //#end
      //#end
      //#if COLUMNS
      //#for c 0 PARTS
      //#for t 0 KEYS
      {
        //#if EXCHANGE
        let b = subgroupBroadcast(ys[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
        //#else
        let b = read_other_y(at_other$t, $c);
        //#end
        //#for r 0 ROWS
        y_grad[$r * PARTS + $c] = fma(vec4<f32>(g[$t * ROWS + $r]), b, y_grad[$r * PARTS + $c]);
        //#end
      }
      //#end
      //#end
      //#end
    }
    //#end
  }

  for (var turn = number; turn < number + OWNED; turn++) {
    let i = turn - number;
    let of_row = first + i / OWN * HEIGHT + own_row;
    let at = (batch * own_count + of_row) * sizes.depth + head * WIDTH;
    var x_own = x_grad[0];
    //#for c 1 OWNED
    x_own = select(x_own, x_grad[$c], i == $c);
    //#end
    if (of_row < own_count) { write_x_grad(at, i % OWN * SPLIT + split, sizes.scale * x_own); }
    //#if COLUMNS
    var y_own = y_grad[0];
    //#for c 1 OWNED
    y_own = select(y_own, y_grad[$c], i == $c);
    //#end
    if (of_row < own_count) { write_y_grad(at, i % OWN * SPLIT + split, y_own); }
    //#end
  }
}
