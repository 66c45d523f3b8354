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
// A workgroup owns ROWS * THREADS query rows of one head, a thread ROWS of them: their queries, their results, the largest
// score so far and the sum of exponentials stay in registers. Keys and values stream by, KEYS at a step (online softmax:
// Milakov and Gimelshein 2018; FlashAttention-2: Dao 2023), so memory is linear in Tk. They reach the threads
//   SHARED       through tiles of TILE keys in workgroup memory (GPUs),
//   not SHARED   through subgroup broadcasts, without barriers: a workgroup is one subgroup of THREADS = 8 lanes, and each lane
//                loads its share of the step's keys (CPU adapters, where loads cost more than arithmetic).
//
// Dropout draws 16 bits a score from philox4x32(key / 8, row, batch * heads + head, stream): word (key % 8) / 2, the lower half
// for an even key; a score is dropped where they are below sizes.threshold. The backward kernel draws the same bits.
//
// WIDTH, PARTS, sizes, read_NAME(at, part) and write_NAME(at, part, value): attention_heads.wgsl.
const ROWS = 4u; // query rows of a thread
const KEYS = 4u; // keys of a step; divides 8
const THREADS = 8u; // threads of a workgroup
const LOADS = 4u; // vec4 that a lane loads for a step: KEYS * PARTS / THREADS, rounded up
const TILE = 8u; // keys of a tile, a multiple of 8; 8 if not SHARED
const SHARED = false;
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
  let blocks = (sizes.tq + ROWS * THREADS - 1u) / (ROWS * THREADS);
  let group = number / blocks;
  let batch = group / sizes.heads;
  if (batch >= sizes.batch) { return; }
  let head = group % sizes.heads;
  let first = (number % blocks) * ROWS * THREADS;

  var q: array<vec4<f32>, ROWS * PARTS>;
  var o: array<vec4<f32>, ROWS * PARTS>;
  // PARTS, but unknown to the compiler, which would unroll the loops that read and write own rows: each load and store costs
  // a software adapter's compiler milliseconds. Registers are chosen by `select`, as no index into them may be dynamic.
  let parts = min(PARTS, sizes.depth);
  var row: array<u32, ROWS>;
  var top: array<f32, ROWS>;
  var sum: array<f32, ROWS>;
  //#for r 0 ROWS
  row[$r] = min(first + $r * THREADS + lane, sizes.tq - 1u);
  let at_q$r = (batch * sizes.tq + row[$r]) * sizes.depth + head * WIDTH;
  top[$r] = UNSEEN;
  sum[$r] = 0.0;
  //#if MASK_ROWS
  let mask_row$r = batch * sizes.mask_batch + head * sizes.mask_head + row[$r] * sizes.mask_row;
  //#end
  for (var part = 0u; part < parts; part++) {
    let q_own = sizes.scale * read_queries(at_q$r, part);
    //#for c 0 PARTS
    q[$r * PARTS + $c] = select(q[$r * PARTS + $c], q_own, part == $c);
    //#end
  }
  //#end

  //#if CAUSAL
  // One more than the last key that the last row sees.
  let end = first + ROWS * THREADS + sizes.tk;
  let limit = min(sizes.tk, end - min(end, sizes.tq));
  //#else
  let limit = sizes.tk;
  //#end
  let base = batch * sizes.tk * sizes.key_depth + head / sizes.sharers * WIDTH;
  //#if MASK_KEYS
  let mask_keys = batch * sizes.mask_batch + head * sizes.mask_head;
  //#end
  for (var tile = 0u; tile < limit; tile += TILE) {
    //#if SHARED
    workgroupBarrier();
    for (var i = lane; i < TILE * PARTS; i += THREADS) {
      let at = base + min(tile + i / PARTS, sizes.tk - 1u) * sizes.key_depth;
      tile_k[i] = read_keys(at, i % PARTS);
      tile_v[i] = read_values(at, i % PARTS);
    }
    workgroupBarrier();
    //#end
    for (var eight = tile; eight < min(tile + TILE, limit); eight += 8u) {
      let stop = min(8u, limit - eight);
      //#if MASK_KEYS
      let own_bias = bounded(mask[mask_keys + min(eight + (lane & 7u), sizes.tk - 1u)]);
      //#end
      //#if DROPOUT
      var bits: array<vec4<u32>, ROWS>;
      //#for r 0 ROWS
      bits[$r] = philox4x32(vec4<u32>(eight / 8u, row[$r], group, sizes.stream), vec2<u32>(random_key[0], random_key[1]));
      //#end
      //#end
      for (var j = 0u; j < stop; j += KEYS) {
        let key = eight + j;
        //#if SHARED
        let in_tile = (key - tile) * PARTS;
        //#else
        var k: array<vec4<f32>, LOADS>;
        var v: array<vec4<f32>, LOADS>;
        //#for n 0 LOADS
        let share$n = lane + $n * THREADS;
        let at$n = base + min(key + share$n / PARTS, sizes.tk - 1u) * sizes.key_depth;
        k[$n] = read_keys(at$n, share$n % PARTS);
        v[$n] = read_values(at$n, share$n % PARTS);
        //#end
        //#end

        // Scores. The backward kernel adds in the same order: beside a huge mask, another may round otherwise.
        var s = array<f32, KEYS * ROWS>();
        var s_odd = array<f32, KEYS * ROWS>();
        //#for c 0 PARTS
        //#for t 0 KEYS
        {
          //#if SHARED
          let x = tile_k[in_tile + $t * PARTS + $c];
          //#else
          let x = subgroupBroadcast(k[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
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
          //#if SHARED
          let own_mask = bounded(mask[mask_keys + min(key + $t, sizes.tk - 1u)]);
          let bias = select(UNSEEN, own_mask, key + $t < limit);
          //#else
          let bias = select(UNSEEN, subgroupShuffle(own_bias, j + $t), key + $t < limit);
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

        // Softmax so far; what was added before is scaled down when a larger score appears.
        var fade: array<f32, ROWS>;
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
          if (((bits[$r][(j + $t) / 2u] >> (16u * ((j + $t) % 2u))) & 0xffffu) < sizes.threshold) { s[$t * ROWS + $r] = 0.0; }
          //#end
          //#end
        }
        //#end

        // Values.
        //#for c 0 PARTS
        {
          //#for r 0 ROWS
          var o$r = o[$r * PARTS + $c] * fade[$r];
          //#end
          //#for t 0 KEYS
          {
            //#if SHARED
            let x = tile_v[in_tile + $t * PARTS + $c];
            //#else
            let x = subgroupBroadcast(v[($t * PARTS + $c) / THREADS], ($t * PARTS + $c) % THREADS);
            //#end
            //#for r 0 ROWS
            o$r = fma(vec4<f32>(s[$t * ROWS + $r]), x, o$r);
            //#end
          }
          //#end
          //#for r 0 ROWS
          o[$r * PARTS + $c] = o$r;
          //#end
        }
        //#end
      }
    }
  }

  //#for r 0 ROWS
  if (first + $r * THREADS + lane < sizes.tq) {
    //#if EMPTY
    let empty = top[$r] < EMPTY_TOP && !is_nan(sum[$r]);
    if (empty) { sum[$r] = 1.0; }
    norms[group * sizes.tq + row[$r]] = vec2<f32>(top[$r], select(1.0 / sum[$r], 0.0, empty));
    //#else
    norms[group * sizes.tq + row[$r]] = vec2<f32>(top[$r], 1.0 / sum[$r]);
    //#end
    let norm = sizes.keep / sum[$r];
    for (var part = 0u; part < parts; part++) {
      var o_part = vec4<f32>();
      //#for c 0 PARTS
      o_part = select(o_part, o[$r * PARTS + $c], part == $c);
      //#end
      //#if EMPTY
      if (empty) { o_part = vec4<f32>(); }
      //#end
      write_out(at_q$r, part, norm * o_part);
    }
  }
  //#end
}
