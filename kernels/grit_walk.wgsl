// The GRIT grouping search (GRIT-VLP, section 3.2, Eq. 5): each sub-queue of `m` pairs becomes one chain, a walk over
// nearest neighbours that takes image-to-text and text-to-image links in turn and visits every pair once.
//
//   similarity [groups, m, m]   of image i (row) and text j (column)
//   starts     [groups]         first pair of the walk, below the sub-queue's size
//   sizes      [groups]         pairs in the sub-queue: m, fewer in a shorter last one
//   chain      [groups, m]      result: positions in walk order; places from `size` on keep their own number
//
// A step from an image reads a row, a step from a text a column of the same matrix. A column's elements lie in as many cache
// lines, but a step waits for one round of loads either way, and the transpose would have to be written and kept.
//
// One workgroup owns one sub-queue. Thread t owns the places t, t + THREADS, ... (at most 32) and keeps one visited bit
// for each: a visited place is skipped, so no similarity, however small, lets it come back. The largest similarity wins,
// of equal ones the lowest position. Limit: m <= 32 * THREADS.
//
// The inner loops are unrolled: Mesa's llvmpipe ends an invocation's loops, without a word, after 65,535 iterations in all.
const THREADS = 256u;
const LEVELS = 8u; // log2(THREADS)
const UNROLL = 8u;
const NONE = 0xffffffffu;

struct Sizes {
  groups: u32,
  m: u32,
}

struct Best {
  value: f32,
  place: u32,
}

@group(0) @binding(0) var<storage, read_write> similarity: array<f32>;
@group(0) @binding(1) var<storage, read_write> starts: array<u32>;
@group(0) @binding(2) var<storage, read_write> sizes: array<u32>;
@group(0) @binding(3) var<storage, read_write> chain: array<u32>;
@group(0) @binding(4) var<uniform> shape: Sizes;

var<workgroup> bests: array<Best, THREADS>;

fn better(a: Best, b: Best) -> bool {
  if (a.place == NONE || b.place == NONE) { return a.place < b.place; }
  return a.value > b.value || (a.value == b.value && a.place < b.place);
}

// The best unvisited place among this thread's own, in the row or column that starts at `base`.
fn scan(base: u32, stride: u32, size: u32, visited: u32, thread: u32) -> Best {
  var best = Best(0.0, NONE);
  for (var first = 0u; first * THREADS < shape.m; first += UNROLL) {
    //#for u 0 UNROLL
    {
      let k = first + $u;
      let place = k * THREADS + thread;
      if (place < size && ((visited >> k) & 1u) == 0u) {
        let value = similarity[base + place * stride];
        if (best.place == NONE || value > best.value) { best = Best(value, place); }
      }
    }
    //#end
  }
  return best;
}

// The place of the best of all threads' finds.
fn reduce(own: Best, thread: u32) -> u32 {
  bests[thread] = own;
  workgroupBarrier();
  //#for level 0 LEVELS
  {
    let half = THREADS >> ($level + 1);
    if (thread < half && better(bests[thread + half], bests[thread])) { bests[thread] = bests[thread + half]; }
    workgroupBarrier();
  }
  //#end
  let place = bests[0].place;
  workgroupBarrier();
  return place;
}

// The visited bit of `place` in the thread that owns it.
fn bit_of(place: u32, thread: u32) -> u32 {
  return select(0u, 1u << (place / THREADS), place % THREADS == thread);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = linear_workgroup(workgroup, count);
  if (group >= shape.groups) { return; }
  let m = shape.m;
  let size = sizes[group];
  var current = starts[group];
  var visited = bit_of(current, thread);
  if (thread == 0u) { chain[group * m] = current; }
  // The bound is the same for all workgroups, because barriers need control flow that is uniform at sight.
  for (var step = 1u; step < m; step++) {
    let from_image = step % 2u == 1u;
    let base = group * m * m + select(current, current * m, from_image);
    let next = reduce(scan(base, select(m, 1u, from_image), size, visited, thread), thread);
    if (next == NONE) {
      if (thread == 0u) { chain[group * m + step] = step; }
    } else {
      current = next;
      visited |= bit_of(current, thread);
      if (thread == 0u) { chain[group * m + step] = current; }
    }
  }
}
