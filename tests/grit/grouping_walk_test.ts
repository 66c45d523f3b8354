import { assert, assertEquals, assertThrows } from "@std/assert";
import { defaultDevice, openDevice } from "../../src/gpu/device.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { groupingWalkOp } from "../../src/ops/grouping_walk.ts";
import { walk } from "../../src/grit/walk.ts";
import { type Pairs, randomPairs } from "./features.ts";
import { gpuWalks, type Similarities, type SubQueue, walkOverSimilarities } from "./gpu_walk.ts";

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

function assertPermutation(chain: ArrayLike<number>): void {
  assertEquals(Array.from(chain).sort((a, b) => a - b), range(chain.length));
}

/** Sub-queues of M consecutive pairs, a shorter one at the end, with starts spread over them. */
function cut(count: number, m: number): SubQueue[] {
  const out: SubQueue[] = [];
  for (let at = 0; at < count; at += m) {
    const size = Math.min(m, count - at);
    out.push({ rows: range(size).map((i) => at + i), start: (out.length * 7 + m - 1) % size });
  }
  return out;
}

async function compare({ image, text }: Pairs, subQueues: readonly SubQueue[], m: number): Promise<void> {
  const chains = await gpuWalks(image, text, subQueues);
  subQueues.forEach(({ rows, start }, g) => {
    const expected = [...walk(image, text, rows, start), ...range(m).slice(rows.length)];
    assertEquals([...chains[g]!], expected, `M ${m}, sub-queue ${g}`);
  });
}

for (const [name, clusters] of [["random", 1000], ["clustered", 4]] as const) {
  Deno.test(`the kernel's walks over ${name} features are those of the float64 reference`, async () => {
    for (
      const [count, m] of [[1, 1], [2, 2], [3, 2], [5, 5], [31, 31], [90, 33], [64, 64], [130, 64], [400, 193]] as const
    ) {
      await compare(randomPairs(count, 16, clusters, count), cut(count, m), m);
    }
  });
}

Deno.test("the kernel walks to the end of 3,000 pairs on an adapter that cuts loops at 65,535 iterations", async () => {
  await compare(randomPairs(3000, 4, 1000, 5), cut(3000, 3000), 3000);
});

Deno.test("the variant of the kernel for GPUs walks as the one for CPUs does", async () => {
  const software = (await defaultDevice()).profile.kind === "cpu";
  const device = await openDevice({ kind: software ? "gpu" : "cpu" });
  for (const m of [1, 33, 260]) {
    const { image, text } = randomPairs(m, 16, 5, m);
    const [chain] = await gpuWalks(image, text, [{ rows: range(m), start: m >> 1 }], device);
    assertEquals(chain, walk(image, text, range(m), m >> 1));
  }
  device.gpu.destroy();
});

Deno.test("the kernel takes the lowest position of equal similarities", async () => {
  const m = 37;
  const same = { data: new Float32Array(m * 4).fill(0.5), width: 4 };
  await compare({ image: same, text: same }, [{ rows: range(m), start: 20 }], m);
});

Deno.test("the kernel visits every pair once where groups of features are identical", async () => {
  const m = 48;
  const { image, text } = randomPairs(m, 8, 6, 2);
  for (const { data, width } of [image, text]) {
    for (let i = 0; i < m; i++) data.copyWithin(i * width, (i % 5) * width, (i % 5 + 1) * width);
  }
  await compare({ image, text }, [{ rows: range(m), start: 47 }], m);
});

Deno.test("the kernel visits every pair once whatever the size of the similarities", async () => {
  const m = 40;
  const { image, text } = randomPairs(m, 8, 1000, 3);
  const queue = (scale: number, shift: number): Similarities => {
    const similarity = new Float32Array(m * m);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < m; j++) {
        let s = 0;
        for (let k = 0; k < 8; k++) s += image.data[i * 8 + k]! * text.data[j * 8 + k]!;
        similarity[i * m + j] = s * scale + shift;
      }
    }
    return { similarity, size: m, start: 5 };
  };
  const chains = await walkOverSimilarities(m, [
    queue(1, 0),
    queue(2 ** 100, 0),
    queue(2 ** -100, 0),
    queue(0, 0),
    queue(0, -3e38),
  ]);
  chains.forEach(assertPermutation);
  assertEquals(chains[1], chains[0]);
  assertEquals(chains[2], chains[0]);
  assertEquals(chains[3], chains[4]);
  assert(chains[0]!.some((p, i) => p !== chains[3]![i]));
});

Deno.test("groupingWalk refuses shapes that do not fit and sub-queues beyond its limit", () => {
  const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });
  const u32 = (...shape: number[]) => ({ shape, dtype: "u32" as const });
  const infer = groupingWalkOp.infer;
  assertEquals(infer([f32(3, 8, 8), u32(3), u32(3)], null), [u32(3, 8)]);
  assertThrows(
    () => infer([f32(3, 8, 9), u32(3), u32(3)], null),
    RangeError,
    "the similarity must be f32[3,8,8]: it is f32[3,8,9]",
  );
  assertThrows(
    () => infer([f32(3, 8, 8), f32(3), u32(3)], null),
    TypeError,
    "starts must be u32[3]: it is f32[3]",
  );
  assertThrows(
    () => infer([f32(3, 8, 8), u32(3), u32(2)], null),
    RangeError,
    "sizes must be u32[3]: it is u32[2]",
  );
  assertThrows(
    () => infer([f32(1, 9600, 9600), u32(1), u32(1)], null),
    UnsupportedError,
    "M must be at most 8192: it is 9600",
  );
});
