// The heads of the attention kernels: how a kernel reads and writes the rows of one head, four columns at a time.
// READS and WRITES are the names of its arrays of heads, [B, T, D], of which a head is WIDTH neighbouring columns. Each head of
// keys serves `sharers` neighbouring heads of queries.
const WIDTH = 32u; // columns of a head
const PARTS = 8u; // vec4 of a head: WIDTH / 4, rounded up
const WHOLE = true; // whether heads are read as vec4: 4 divides WIDTH

//#if WHOLE
alias Element = vec4<f32>;
//#else
alias Element = f32;
//#end

struct Sizes {
  batch: u32,
  heads: u32,
  tq: u32,
  tk: u32,
  depth: u32, // columns of all heads
  key_depth: u32, // columns of all heads of keys
  sharers: u32, // heads of queries that a head of keys serves
  mask_batch: u32, // steps in the mask, 0 along what it is the same for
  mask_head: u32,
  mask_row: u32,
  stream: u32,
  threshold: u32,
  scale: f32,
  keep: f32, // 1 / the share of scores that dropout keeps
}
@group(0) @binding(0) var<uniform> sizes: Sizes;

// The least that a mask adds: -Infinity would leave NaN in a row whose keys are all masked; such a row is uniform.
const LEAST: f32 = -1e38;
fn bounded(mask: f32) -> f32 { return select(mask, LEAST, mask < LEAST); }
// The score of keys that do not exist or are not seen: 0 after the softmax, even in a row of LEAST.
const UNSEEN: f32 = -2e38;

// Whether query row i sees key j if attention is causal: the last row sees all keys.
fn sees(i: u32, j: u32) -> bool { return j + sizes.tq <= i + sizes.tk; }

//#each x READS
// Columns 4 part .. 4 part + 3 of the head whose row starts at element `at`; 0 beyond WIDTH.
fn read_$x(at: u32, part: u32) -> vec4<f32> {
  //#if WHOLE
  return $x[at / 4u + part];
  //#else
  return vec4<f32>(
    //#for e 0 4
    select(0.0, $x[at + min(4u * part + $e, WIDTH - 1u)], 4u * part + $e < WIDTH),
    //#end
  );
  //#end
}
//#end
//#each y WRITES
fn write_$y(at: u32, part: u32, value: vec4<f32>) {
  //#if WHOLE
  $y[at / 4u + part] = value;
  //#else
  //#for e 0 4
  if (4u * part + $e < WIDTH) { $y[at + 4u * part + $e] = value[$e]; }
  //#end
  //#end
}
//#end

