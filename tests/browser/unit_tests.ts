/**
 * The unit tests that a browser can run: Deno.test() of a page, and the files that register with it.
 */

/** A registered test. */
export interface UnitTest {
  readonly name: string;
  readonly ignore?: boolean;
  readonly fn: () => void | Promise<void>;
}

/** Files by their path below tests/. They are loaded one by one, so that each registers its own tests. */
const files: Readonly<Record<string, () => Promise<unknown>>> = {
  "autograd/grad_test.ts": () => import("../autograd/grad_test.ts"),
  "gpu/kernel_test.ts": () => import("../gpu/kernel_test.ts"),
  "gpu/subgroups_test.ts": () => import("../gpu/subgroups_test.ts"),
  "grit/grouping_walk_test.ts": () => import("../grit/grouping_walk_test.ts"),
  "ops/argmax_test.ts": () => import("../ops/argmax_test.ts"),
  "ops/attention_test.ts": () => import("../ops/attention_test.ts"),
  "ops/cross_entropy_test.ts": () => import("../ops/cross_entropy_test.ts"),
  "ops/elementwise_test.ts": () => import("../ops/elementwise_test.ts"),
  "ops/gather_test.ts": () => import("../ops/gather_test.ts"),
  "ops/layer_norm_test.ts": () => import("../ops/layer_norm_test.ts"),
  "ops/matmul_test.ts": () => import("../ops/matmul_test.ts"),
  "ops/patchify_test.ts": () => import("../ops/patchify_test.ts"),
  "ops/random_test.ts": () => import("../ops/random_test.ts"),
  "ops/reduce_test.ts": () => import("../ops/reduce_test.ts"),
  "ops/shape_test.ts": () => import("../ops/shape_test.ts"),
  "ops/softmax_test.ts": () => import("../ops/softmax_test.ts"),
  "ops/top_k_test.ts": () => import("../ops/top_k_test.ts"),
  "ops/transpose_test.ts": () => import("../ops/transpose_test.ts"),
  "ops/ring_update_test.ts": () => import("../ops/ring_update_test.ts"),
  "program/bindings_test.ts": () => import("../program/bindings_test.ts"),
  "program/compile_test.ts": () => import("../program/compile_test.ts"),
  "program/donation_test.ts": () => import("../program/donation_test.ts"),
  "program/fusion_test.ts": () => import("../program/fusion_test.ts"),
  "program/overlap_test.ts": () => import("../program/overlap_test.ts"),
};

/** Tests that say nothing about a browser, by the reason. */
const left: Readonly<Record<string, readonly string[]>> = {
  "65,537 workgroups with barriers take minutes on SwiftShader": [
    "attention() runs in more workgroups than one dimension of a dispatch holds",
  ],
  "SwiftShader has no 16-bit floats": ["matmul() reads operands in f16 and accumulates in f32"],
  "fewer ops share a kernel where one may bind 10 buffers": [
    "AdamW is one kernel per buffer, constants bind nothing",
    "an element-wise op after layerNorm() is written by its kernel",
    "element-wise ops join the kernel of the product before them",
  ],
  "a page collects garbage when it likes": [
    "GPU memory is bounded, and the losses the same, where nothing is donated",
  ],
};

/** The tests of each file. Gives the page a `Deno` that can do nothing but register tests. */
export async function* unitTests(): AsyncGenerator<{ file: string; tests: readonly UnitTest[] }> {
  const names = Object.values(left).flat();
  let tests: UnitTest[] = [];
  const test = (first: string | UnitTest, fn?: UnitTest["fn"]): void => {
    tests.push(typeof first === "string" ? { name: first, fn: fn! } : first);
  };
  Object.assign(globalThis, { Deno: { test } });
  for (const [file, load] of Object.entries(files)) {
    tests = [];
    await load();
    yield { file, tests: tests.filter(({ name }) => !names.includes(name)) };
  }
}
