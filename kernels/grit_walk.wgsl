// The GRIT grouping search (GRIT-VLP, section 3.2, Eq. 5): each sub-queue of `m` pairs becomes one chain, a walk over
// nearest neighbours that takes image-to-text and text-to-image links in turn and visits every pair once.
//
//   image_to_text [groups, m, m]   similarity of image i (row) and text j (column)
//   text_to_image [groups, m, m]   its transpose, so that every step reads one contiguous row
//   starts        [groups]         first pair of the walk, below the sub-queue's size
//   sizes         [groups]         pairs in the sub-queue: m, fewer in a shorter last one
//   chain         [groups, m]      result: positions in walk order; places from `size` on keep their own number
//
// One workgroup owns one sub-queue. Thread t owns the columns t, t + THREADS, ... (at most 32) and keeps one visited bit
// for each: a visited column is skipped, so no similarity, however small, lets it come back. The largest similarity wins,
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

@group(0) @binding(0) var<storage, read_write> image_to_text: array<f32>;
@group(0) @binding(1) var<storage, read_write> text_to_image: array<f32>;
@group(0) @binding(2) var<storage, read_write> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> sizes: array<u32>;
@group(0) @binding(4) var<storage, read_write> chain: array<u32>;
@group(0) @binding(5) var<uniform> shape: Sizes;

var<workgroup> bests: array<Best, THREADS>;

fn better(a: Best, b: Best) -> bool {
  if (a.place == NONE || b.place == NONE) { return a.place < b.place; }
  return a.value > b.value || (a.value == b.value && a.place < b.place);
}

// The best unvisited column among this thread's own, in the row that starts at `row`.
fn scan(row: u32, from_image: bool, size: u32, visited: u32, thread: u32) -> Best {
  var best = Best(0.0, NONE);
  for (var first = 0u; first * THREADS < shape.m; first += UNROLL) {
    //#for u 0 UNROLL
    {
      let k = first + $u;
      let place = k * THREADS + thread;
      if (place < size && ((visited >> k) & 1u) == 0u) {
        var value: f32;
        if (from_image) { value = image_to_text[row + place]; } else { value = text_to_image[row + place]; }
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
    let row = (group * m + current) * m;
    let next = reduce(scan(row, step % 2u == 1u, size, visited, thread), thread);
    if (next == NONE) {
      if (thread == 0u) { chain[group * m + step] = step; }
    } else {
      current = next;
      visited |= bit_of(current, thread);
      if (thread == 0u) { chain[group * m + step] = current; }
    }
  }
}
