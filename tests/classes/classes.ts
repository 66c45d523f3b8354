/** The classes of adapters that kernels differ by, and how Mesa's driver for CPUs becomes one of each. */

/** How the tests of a class are run. */
export interface AdapterClass {
  readonly about: string;
  readonly env: Readonly<Record<string, string>>;
  /** A module of this folder that is loaded before the tests. */
  readonly preload?: string;
}

/** By name. */
export const adapterClasses: Readonly<Record<string, AdapterClass>> = {
  guaranteed: { about: "no more than WebGPU guarantees", env: { GRITSTONE_LIMITS: "guaranteed" } },
  lanes8: { about: "a CPU with subgroups of 8", env: { LP_NATIVE_VECTOR_WIDTH: "256" } },
  lanes16: { about: "a CPU with subgroups of 16", env: { LP_NATIVE_VECTOR_WIDTH: "512" } },
  none: { about: "a CPU without subgroups", env: {}, preload: "no_subgroups.ts" },
  gpu: { about: "the kernels for GPUs", env: {}, preload: "gpu_kernels.ts" },
};

/** Tests of all kernels, the golden sets, and steps of GRIT-VLP. */
export const kernelTests: readonly string[] = [
  "tests/ops",
  "tests/losses",
  "tests/grit/grouping_walk_test.ts",
  "tests/golden/golden_test.ts",
  "tests/recipes/grit_test.ts",
];

/** Arguments of deno for the tests of a class. */
export function testArguments({ preload }: AdapterClass, files: readonly string[]): string[] {
  const loaded = preload ? [`--preload=${new URL(preload, import.meta.url).pathname}`] : [];
  return ["test", "--quiet", "--no-check", "--parallel", ...loaded, "--allow-all", ...files];
}
