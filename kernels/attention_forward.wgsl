// Fused attention, forward, for every head by itself:
//
//   out [B, Tq, D] = dropout(softmax(scale q k' + mask)) v,   norms [B, heads, Tq, 2] = (top, 1 / sum) of each row,
//
// top its largest score, sum that of exp(score - top). The log-sum-exp, top + log(sum), would not do: where all keys of a
// row are masked, top is -1e9 or less and log(sum) is rounded away.
//
// q is [B, Tq, D], k and v are [B, Tk, key_depth], a head is WIDTH neighbouring columns. The mask is added to the scores: MASK_KEYS is
// one that is the same for all rows, MASK_ROWS one that is not; sizes.mask_* are its steps.
//
// EMPTY: rows may have no key that counts, and are 0: of no key that is seen, and if MASKED_ZERO of keys that are all masked.
//
// A workgroup owns ROWS * HEIGHT query rows of one head, a thread (one of SPLIT that share a head) ROWS of them: their queries, their
// results, the largest score so far and the sum of exponentials stay in registers. Keys and values stream by, KEYS at a step
// (online softmax: Milakov and Gimelshein 2018; FlashAttention-2: Dao 2023), so memory is linear in Tk. They reach the threads
//   SHARED       TILE at a time through workgroup memory (GPUs). SPLIT threads own every SPLIT-th vec4 of a head, so that wide
//                heads fit into registers; they add up their scores in workgroup memory,
//   not SHARED   without barriers (CPU adapters, where these cost, to compile and to run). With EXCHANGE through subgroup
//                broadcasts: a workgroup is one subgroup of THREADS = 8 or 16 lanes, and each lane loads its share of the step's
//                keys, for loads cost more than arithmetic. Else each thread loads all of them.
//
// Dropout draws 16 bits a score from philox4x32(key / 8, row, batch * heads + head, stream): word (key % 8) / 2, the lower half
// for an even key; a score is dropped where they are below sizes.threshold. The backward kernel draws the same bits.
//
// WIDTH, PARTS, sizes, read_NAME(at, part) and write_NAME(at, part, value): attention_heads.wgsl.
const ROWS = 4u; // query rows of a thread
const KEYS = 4u; // keys of a step; divides 8
const THREADS = 8u; // threads of a workgroup: HEIGHT * SPLIT
const HEIGHT = 8u; // rows of a workgroup that the threads have at a time
const SPLIT = 1u; // threads that share a head; 1 if not SHARED
const OWN = 8u; // vec4 of a head that a thread owns: PARTS / SPLIT
const OWNED = 32u; // of its rows: ROWS * OWN
const LOADS = 4u; // vec4 that a lane loads for a step: KEYS * PARTS / THREADS, rounded up
const TILE = 8u; // keys in workgroup memory, 8 or a divisor of it that KEYS divides; 8 if not SHARED
const SHARED = false;
const EXCHANGE = true;
const MASK_KEYS = false;
const MASK_ROWS = false;
const CAUSAL = false;
const EMPTY = false;
const MASKED_ZERO = false;
const DROPOUT = false;

@group(0) @binding(1) var<storage, read_write> queries: array<Element>;
@group(0) @binding(2) var<storage, read_write> keys: array<Element>;
@group(0) @binding(3) var<storage, read_write> values: array<Element>;
//#if MASK_KEYS
@group(0) @binding(4) var<storage, read_write> mask: array<f32>;
//#end
//#if MASK_ROWS
@group(0) @binding(4) var<storage, read_write> mask: array<f32>;
//#end
//#if DROPOUT
@group(0) @binding(5) var<storage, read_write> random_key: array<u32>;
//#end
@group(0) @binding(6) var<storage, read_write> out: array<Element>;
@group(0) @binding(7) var<storage, read_write> norms: array<vec2<f32>>;

//#if SHARED
var<workgroup> tile_k: array<vec4<f32>, TILE * PARTS>;
var<workgroup> tile_v: array<vec4<f32>, TILE * PARTS>;
const PITCH = THREADS + 1u; // so that the threads of a head find their sums in different banks
var<workgroup> scores: array<f32, TILE * PITCH>;
//#if DROPOUT
var<workgroup> tile_bits: array<vec4<u32>, HEIGHT>;
//#end
//#end

//#if EMPTY
// Above the largest score of a row that is empty, below that of any other.
const EMPTY_TOP: f32 = select(-1.5e38, -9e37, MASKED_ZERO);
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
//#end

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let number = linear_workgroup(id, count);
  let blocks = (sizes.tq + ROWS * HEIGHT - 1u) / (ROWS * HEIGHT);
  let group = number / blocks;
  let batch = group / sizes.heads;
  if (batch >= sizes.batch) { return; }
  let head = group % sizes.heads;
  let first = (number % blocks) * ROWS * HEIGHT;
  let own = lane / SPLIT;
  let split = lane % SPLIT;

  var q: array<vec4<f32>, ROWS * OWN>;
  var o: array<vec4<f32>, ROWS * OWN>;
  var row: array<u32, ROWS>;
  var top: array<f32, ROWS>;
  var sum: array<f32, ROWS>;
  //#for r 0 ROWS
  row[$r] = min(first + $r * HEIGHT + own, sizes.tq - 1u);
  top[$r] = UNSEEN;
  sum[$r] = 0.0;
  //#if MASK_ROWS
  let mask_row$r = batch * sizes.mask_batch + head * sizes.mask_head + row[$r] * sizes.mask_row;
  //#end
  //#end
  // Each place of the text that loads or stores costs a software adapter's compiler a tenth of a second and more: own rows are read
  // and written in loops, which begin at a number that it does not know, or it would unroll them. Registers are chosen by `select`,
  // as no index into them may be dynamic.
  for (var turn = number; turn < number + OWNED; turn++) {
    let i = turn - number;
    let at = (batch * sizes.tq + min(first + i / OWN * HEIGHT + own, sizes.tq - 1u)) * sizes.depth + head * WIDTH;
    let q_own = sizes.scale * read_queries(at, i % OWN * SPLIT + split);
    //#for c 0 OWNED
    q[$c] = select(q[$c], q_own, i == $c);
    //#end
  }

  //#if CAUSAL
  // One more than the last key that the last row sees.
  let end = first + ROWS * HEIGHT + sizes.tk;
  let limit = min(sizes.tk, end - min(end, sizes.tq));
  //#else
  let limit = sizes.tk;
  //#end
  let base = batch * sizes.tk * sizes.key_depth + head / sizes.sharers * WIDTH;
  //#if MASK_KEYS
  let mask_keys = batch * sizes.mask_batch + head * sizes.mask_head;
  //#end
  for (var tile = 0u; tile < limit; tile += TILE) {
    let stop = min(TILE, limit - tile);
    //#if SHARED
    workgroupBarrier();
    for (var i = lane; i < TILE * PARTS; i += THREADS) {
      let at = base + min(tile + i / PARTS, sizes.tk - 1u) * sizes.key_depth;
      tile_k[i] = read_keys(at, i % PARTS);
      tile_v[i] = read_values(at, i % PARTS);
    }
    //#if DROPOUT
    for (var i = lane; i < HEIGHT; i += THREADS) {
      let counter = vec4<u32>(tile / 8u, min(first + i, sizes.tq - 1u), group, sizes.stream);
      tile_bits[i] = philox4x32(counter, vec2<u32>(random_key[0], random_key[1]));
    }
    //#end
    workgroupBarrier();
    // Each thread its part of all scores, then all parts of some.
    for (var j = 0u; j < stop; j += KEYS) {
      var s = array<f32, KEYS>();
      var s_odd = array<f32, KEYS>();
      //#for c 0 OWN
      //#for t 0 KEYS
      {
        let x = tile_k[(j + $t) * PARTS + $c * SPLIT + split];
        s[$t] = fma(q[$c].x, x.x, s[$t]);
        s_odd[$t] = fma(q[$c].y, x.y, s_odd[$t]);
        s[$t] = fma(q[$c].z, x.z, s[$t]);
        s_odd[$t] = fma(q[$c].w, x.w, s_odd[$t]);
      }
      //#end
      //#end
      //#for t 0 KEYS
      scores[(j + $t) * PITCH + lane] = s[$t] + s_odd[$t];
      //#end
    }
    workgroupBarrier();
    for (var j = split; j < TILE; j += SPLIT) {
      let key = min(tile + j, sizes.tk - 1u);
      let at = j * PITCH + own * SPLIT;
      var s = scores[at];
      //#for p 1 SPLIT
      s += scores[at + $p];
      //#end
      var bias = 0.0;
      //#if MASK_KEYS
      bias = bounded(mask[mask_keys + key]);
      //#end
      //#if MASK_ROWS
      bias = bounded(mask[mask_row0 + key]);
      //#end
      //#if CAUSAL
      bias = select(UNSEEN, bias, sees(row[0], key));
      //#end
      scores[at] = select(UNSEEN, s + bias, j < stop);
    }
    workgroupBarrier();
    //#if DROPOUT
    let bits = array<vec4<u32>, ROWS>(tile_bits[own]);
    //#end
    //#else
    //#if MASK_KEYS
    //#if EXCHANGE
    let own_bias = bounded(mask[mask_keys + min(tile + (lane & 7u), sizes.tk - 1u)]);
    //#end
    //#end
    //#if DROPOUT
    var bits: array<vec4<u32>, ROWS>;
    //#for r 0 ROWS
    bits[$r] = philox4x32(vec4<u32>(tile / 8u, row[$r], group, sizes.stream), vec2<u32>(random_key[0], random_key[1]));
    //#end
    //#end
    //#end
    //#if SHARED
    for (var j = 0u; j < stop; j += KEYS) {
      let key = tile + j;
    //#else
    // From `tile` and not from 0, for the same reason.
    for (var key = tile; key < tile + stop; key += KEYS) {
      let j = key - tile;
    //#end
      //#if SHARED
      var s: array<f32, KEYS>;
      //#for t 0 KEYS
      s[$t] = scores[(j + $t) * PITCH + own * SPLIT];
      //#end
      //#else
      //#if EXCHANGE
      var k: array<vec4<f32>, LOADS>;
      var v: array<vec4<f32>, LOADS>;
      //#for n 0 LOADS
      let share$n = lane + $n * THREADS;
      let at$n = base + min(key + share$n / PARTS, sizes.tk - 1u) * sizes.key_depth;
      k[$n] = read_keys(at$n, share$n % PARTS);
      v[$n] = read_values(at$n, share$n % PARTS);
      //#end
      //#else
      //#for t 0 KEYS
      let at_key$t = base + min(key + $t, sizes.tk - 1u) * sizes.key_depth;
      //#end
      //#end

      // Scores. The backward kernel adds in the same order: beside a huge mask, another may round otherwise.
      var s = array<f32, KEYS * ROWS>();
      var s_odd = array<f32, KEYS * ROWS>();
      //#for c 0 PARTS
      //#for t 0 KEYS
      {
        //#if EXCHANGE
        let x = subgroupBroadcast(k[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
        //#else
        let x = read_keys(at_key$t, $c);
        //#end
        //#for r 0 ROWS
        s[$t * ROWS + $r] = fma(q[$r * PARTS + $c].x, x.x, s[$t * ROWS + $r]);
        s_odd[$t * ROWS + $r] = fma(q[$r * PARTS + $c].y, x.y, s_odd[$t * ROWS + $r]);
        s[$t * ROWS + $r] = fma(q[$r * PARTS + $c].z, x.z, s[$t * ROWS + $r]);
        s_odd[$t * ROWS + $r] = fma(q[$r * PARTS + $c].w, x.w, s_odd[$t * ROWS + $r]);
        //#end
      }
      //#end
      //#end
      //#for t 0 KEYS
      {
        //#if MASK_ROWS
        let at_key = min(key + $t, sizes.tk - 1u);
        //#else
        //#if MASK_KEYS
        //#if EXCHANGE
        let bias = select(UNSEEN, subgroupShuffle(own_bias, j + $t), key + $t < limit);
        //#else
        let bias = select(UNSEEN, bounded(mask[mask_keys + min(key + $t, sizes.tk - 1u)]), key + $t < limit);
        //#end
        //#else
        let bias = select(UNSEEN, 0.0, key + $t < limit);
        //#end
        //#end
        //#for r 0 ROWS
        {
          //#if MASK_ROWS
          let bias = select(UNSEEN, bounded(mask[mask_row$r + at_key]), key + $t < limit);
          //#end
          //#if CAUSAL
          s[$t * ROWS + $r] = s[$t * ROWS + $r] + s_odd[$t * ROWS + $r] + select(UNSEEN, bias, sees(row[$r], key + $t));
          //#else
          s[$t * ROWS + $r] = s[$t * ROWS + $r] + s_odd[$t * ROWS + $r] + bias;
          //#end
        }
        //#end
      }
      //#end
      //#end

      // Softmax so far; what was added before is scaled down when a larger score appears.
      var fade: array<f32, ROWS>;
      let drawn = select(tile % 8u + j, j, TILE == 8u); // place of the first key in its random bits
      //#for r 0 ROWS
      {
        var now = top[$r];
        //#for t 0 KEYS
        now = max(now, s[$t * ROWS + $r]);
        //#end
        fade[$r] = exp(top[$r] - now);
        top[$r] = now;
        var added = 0.0;
        //#for t 0 KEYS
        s[$t * ROWS + $r] = exp(s[$t * ROWS + $r] - now);
        added += s[$t * ROWS + $r];
        //#end
        sum[$r] = fma(sum[$r], fade[$r], added);
        //#if DROPOUT
        //#for t 0 KEYS
        if (((bits[$r][(drawn + $t) / 2u] >> (16u * ((drawn + $t) % 2u))) & 0xffffu) < sizes.threshold) { s[$t * ROWS + $r] = 0.0; }
        //#end
        //#end
      }
      //#end

      // Values.
      //#for c 0 OWN
      {
        //#for r 0 ROWS
        var o$r = o[$r * OWN + $c] * fade[$r];
        //#end
        //#for t 0 KEYS
        {
          //#if SHARED
          let x = tile_v[(j + $t) * PARTS + $c * SPLIT + split];
          //#else
          //#if EXCHANGE
          let x = subgroupBroadcast(v[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
          //#else
          let x = read_values(at_key$t, $c);
          //#end
          //#end
          //#for r 0 ROWS
          o$r = fma(vec4<f32>(s[$t * ROWS + $r]), x, o$r);
          //#end
        }
        //#end
        //#for r 0 ROWS
        o[$r * OWN + $c] = o$r;
        //#end
      }
      //#end
    }
  }

  //#for r 0 ROWS
  {
    //#if EMPTY
    let empty = top[$r] < EMPTY_TOP && !is_nan(sum[$r]);
    if (empty) { sum[$r] = 1.0; }
    let norm = select(1.0 / sum[$r], 0.0, empty);
    //#else
    let norm = 1.0 / sum[$r];
    //#end
    if (split == 0u && first + $r * HEIGHT + own < sizes.tq) { norms[group * sizes.tq + row[$r]] = vec2<f32>(top[$r], norm); }
    let scale = sizes.keep / sum[$r];
    //#for c 0 OWN
    //#if EMPTY
    o[$r * OWN + $c] = select(scale * o[$r * OWN + $c], vec4<f32>(), empty);
    //#else
    o[$r * OWN + $c] *= scale;
    //#end
    //#end
  }
  //#end
  for (var turn = number; turn < number + OWNED; turn++) {
    let i = turn - number;
    let of_row = first + i / OWN * HEIGHT + own;
    var o_own = o[0];
    //#for c 1 OWNED
    o_own = select(o_own, o[$c], i == $c);
    //#end
    if (of_row < sizes.tq) { write_out((batch * sizes.tq + of_row) * sizes.depth + head * WIDTH, i % OWN * SPLIT + split, o_own); }
  }
}
