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
  "data/augment_test.ts": () => import("../data/augment_test.ts"),
  "data/masking_test.ts": () => import("../data/masking_test.ts"),
  "data/resize_test.ts": () => import("../data/resize_test.ts"),
  "data/string_table_test.ts": () => import("../data/string_table_test.ts"),
  "data/transform_test.ts": () => import("../data/transform_test.ts"),
  "eval/answers_test.ts": () => import("../eval/answers_test.ts"),
  "eval/grounding_test.ts": () => import("../eval/grounding_test.ts"),
  "eval/recall_test.ts": () => import("../eval/recall_test.ts"),
  "eval/retrieval_test.ts": () => import("../eval/retrieval_test.ts"),
  "gpu/device_test.ts": () => import("../gpu/device_test.ts"),
  "gpu/kernel_test.ts": () => import("../gpu/kernel_test.ts"),
  "gpu/subgroups_test.ts": () => import("../gpu/subgroups_test.ts"),
  "gpu/wgsl_test.ts": () => import("../gpu/wgsl_test.ts"),
  "grit/group_test.ts": () => import("../grit/group_test.ts"),
  "grit/grouping_walk_test.ts": () => import("../grit/grouping_walk_test.ts"),
  "grit/order_test.ts": () => import("../grit/order_test.ts"),
  "grit/sampler_test.ts": () => import("../grit/sampler_test.ts"),
  "grit/walk_test.ts": () => import("../grit/walk_test.ts"),
  "losses/assignment_test.ts": () => import("../losses/assignment_test.ts"),
  "losses/itc_test.ts": () => import("../losses/itc_test.ts"),
  "losses/mlm_test.ts": () => import("../losses/mlm_test.ts"),
  "losses/negatives_test.ts": () => import("../losses/negatives_test.ts"),
  "losses/softmax_loss_test.ts": () => import("../losses/softmax_loss_test.ts"),
  "losses/total_test.ts": () => import("../losses/total_test.ts"),
  "models/albef_test.ts": () => import("../models/albef_test.ts"),
  "models/attention_tap_test.ts": () => import("../models/attention_tap_test.ts"),
  "models/entailment_test.ts": () => import("../models/entailment_test.ts"),
  "models/momentum_test.ts": () => import("../models/momentum_test.ts"),
  "models/nlvr_test.ts": () => import("../models/nlvr_test.ts"),
  "nn/init_test.ts": () => import("../nn/init_test.ts"),
  "ops/activations_test.ts": () => import("../ops/activations_test.ts"),
  "ops/argmax_test.ts": () => import("../ops/argmax_test.ts"),
  "ops/attention_test.ts": () => import("../ops/attention_test.ts"),
  "ops/axes_test.ts": () => import("../ops/axes_test.ts"),
  "ops/attention_variants_test.ts": () => import("../ops/attention_variants_test.ts"),
  "ops/check_test.ts": () => import("../ops/check_test.ts"),
  "ops/conv_test.ts": () => import("../ops/conv_test.ts"),
  "ops/cross_entropy_test.ts": () => import("../ops/cross_entropy_test.ts"),
  "ops/einsum_test.ts": () => import("../ops/einsum_test.ts"),
  "ops/creation_test.ts": () => import("../ops/creation_test.ts"),
  "ops/diagonals_test.ts": () => import("../ops/diagonals_test.ts"),
  "ops/distributions_test.ts": () => import("../ops/distributions_test.ts"),
  "ops/division_test.ts": () => import("../ops/division_test.ts"),
  "ops/elementwise_test.ts": () => import("../ops/elementwise_test.ts"),
  "ops/gather_test.ts": () => import("../ops/gather_test.ts"),
  "ops/integers_test.ts": () => import("../ops/integers_test.ts"),
  "ops/layer_norm_test.ts": () => import("../ops/layer_norm_test.ts"),
  "ops/matmul_broadcast_test.ts": () => import("../ops/matmul_broadcast_test.ts"),
  "ops/logic_test.ts": () => import("../ops/logic_test.ts"),
  "ops/math_test.ts": () => import("../ops/math_test.ts"),
  "ops/matmul_test.ts": () => import("../ops/matmul_test.ts"),
  "ops/norms_test.ts": () => import("../ops/norms_test.ts"),
  "ops/pad_test.ts": () => import("../ops/pad_test.ts"),
  "ops/patchify_test.ts": () => import("../ops/patchify_test.ts"),
  "ops/pool_test.ts": () => import("../ops/pool_test.ts"),
  "ops/random_test.ts": () => import("../ops/random_test.ts"),
  "ops/reduce_test.ts": () => import("../ops/reduce_test.ts"),
  "ops/reductions_test.ts": () => import("../ops/reductions_test.ts"),
  "ops/repeat_test.ts": () => import("../ops/repeat_test.ts"),
  "ops/resize_test.ts": () => import("../ops/resize_test.ts"),
  "ops/ring_update_test.ts": () => import("../ops/ring_update_test.ts"),
  "ops/roll_test.ts": () => import("../ops/roll_test.ts"),
  "ops/rotary_embedding_test.ts": () => import("../ops/rotary_embedding_test.ts"),
  "ops/scan_test.ts": () => import("../ops/scan_test.ts"),
  "ops/shape_test.ts": () => import("../ops/shape_test.ts"),
  "ops/softmax_test.ts": () => import("../ops/softmax_test.ts"),
  "ops/sort_test.ts": () => import("../ops/sort_test.ts"),
  "ops/strided_test.ts": () => import("../ops/strided_test.ts"),
  "ops/take_test.ts": () => import("../ops/take_test.ts"),
  "ops/top_k_test.ts": () => import("../ops/top_k_test.ts"),
  "ops/transpose_test.ts": () => import("../ops/transpose_test.ts"),
  "ops/trigonometry_test.ts": () => import("../ops/trigonometry_test.ts"),
  "optim/adamw_test.ts": () => import("../optim/adamw_test.ts"),
  "optim/layout_test.ts": () => import("../optim/layout_test.ts"),
  "optim/optimizers_test.ts": () => import("../optim/optimizers_test.ts"),
  "optim/schedule_test.ts": () => import("../optim/schedule_test.ts"),
  "optim/schedules_test.ts": () => import("../optim/schedules_test.ts"),
  "program/bindings_test.ts": () => import("../program/bindings_test.ts"),
  "program/compile_test.ts": () => import("../program/compile_test.ts"),
  "program/devices_test.ts": () => import("../program/devices_test.ts"),
  "program/dispose_test.ts": () => import("../program/dispose_test.ts"),
  "program/donation_test.ts": () => import("../program/donation_test.ts"),
  "program/fusion_test.ts": () => import("../program/fusion_test.ts"),
  "program/memory_test.ts": () => import("../program/memory_test.ts"),
  "program/overlap_test.ts": () => import("../program/overlap_test.ts"),
  "program/refusals_test.ts": () => import("../program/refusals_test.ts"),
  "program/tree_test.ts": () => import("../program/tree_test.ts"),
  "random/keys_test.ts": () => import("../random/keys_test.ts"),
  "random/random_test.ts": () => import("../random/random_test.ts"),
  "recipes/albef_test.ts": () => import("../recipes/albef_test.ts"),
  "recipes/grit_test.ts": () => import("../recipes/grit_test.ts"),
  "recipes/siglip_test.ts": () => import("../recipes/siglip_test.ts"),
  "settings/help_test.ts": () => import("../settings/help_test.ts"),
  "settings/read_test.ts": () => import("../settings/read_test.ts"),
  "settings/record_test.ts": () => import("../settings/record_test.ts"),
  "settings/text_test.ts": () => import("../settings/text_test.ts"),
  "testing/check_op_test.ts": () => import("../testing/check_op_test.ts"),
  "testing/refusals_test.ts": () => import("../testing/refusals_test.ts"),
  "train/estimate_test.ts": () => import("../train/estimate_test.ts"),
  "train/waits_test.ts": () => import("../train/waits_test.ts"),
  "train/without_deno_test.ts": () => import("../train/without_deno_test.ts"),
};

/** Tests that say nothing about a browser, by the reason. */
const left: Readonly<Record<string, readonly string[]>> = {
  "65,537 workgroups with barriers take minutes on SwiftShader": [
    "attention() runs in more workgroups than one dimension of a dispatch holds",
  ],
  "a page collects garbage when it likes": [
    "GPU memory is bounded, and the losses the same, where nothing is donated",
  ],
};

/**
 * The tests of each file. Only while a file is loaded there is a `Deno`, which can do nothing but register tests.
 *
 * @throws {Error} If a test that is left out does not exist.
 */
export async function* unitTests(): AsyncGenerator<{ file: string; tests: readonly UnitTest[] }> {
  const stale = new Set(Object.values(left).flat());
  let tests: UnitTest[] = [];
  const test = (first: string | UnitTest, fn?: UnitTest["fn"]): void => {
    tests.push(typeof first === "string" ? { name: first, fn: fn! } : first);
  };
  for (const [file, load] of Object.entries(files)) {
    tests = [];
    Object.assign(globalThis, { Deno: { test } });
    await load();
    Reflect.deleteProperty(globalThis, "Deno");
    yield { file, tests: tests.filter(({ name }) => !stale.delete(name)) };
  }
  if (stale.size) throw new Error(`Cannot leave out "${[...stale].join('", "')}": no file registers such a test`);
}
