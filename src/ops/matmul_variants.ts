/**
 * Which kernel multiplies which matrices: the variants of the matrix product and the rule that chooses one.
 *
 * @module
 */
import { type DeviceProfile, sharingLanes } from "../gpu/device.ts";
import { avoids } from "../gpu/kernel_choices.ts";

/** Sizes of one batched product, with a shared second matrix folded into one product of many rows. */
export interface MatmulSizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
}

/** One way to multiply matrices: a kernel and the sizes of its tiles. */
export interface MatmulVariant {
  readonly name: string;
  /** Which file of kernels/: matmul.wgsl, matmul_registers.wgsl or matmul_workgroup.wgsl. */
  readonly kernel: "plain" | "registers" | "workgroup";
  /** Rows and columns of the result that one workgroup computes. */
  readonly tile: readonly [number, number];
  /** Results of one thread: rows, and columns in vec4. */
  readonly thread: readonly [number, number];
  /** Whether the threads of a subgroup share what they load. */
  readonly share?: boolean;
  /** Speed on full tiles in GFLOP/s; only the ratios within one kind of device matter. */
  readonly rate: number;
  /** Products of fewer floating-point operations do not repay its longer compilation. */
  readonly minFlop?: number;
}

/** The reference: one thread per result. Chosen only where all others give wrong values. */
export const plainMatmul: MatmulVariant = { name: "plain", kernel: "plain", tile: [1, 64], thread: [1, 1], rate: 1 };

/** A kernel of one subgroup of `lanes`, whose threads share what they load. */
function shared(lanes: number, rows: number, vecs: number, rate: number): MatmulVariant {
  const tile = [rows, 4 * vecs * lanes] as const, name = `registers ${tile.join("x")} shared`;
  return {
    name,
    kernel: "registers",
    tile,
    thread: [rows, vecs],
    share: true,
    rate,
    ...(rows > 32 ? { minFlop: 2e8 } : {}),
  };
}

/** Software adapters with subgroups of 8 and of 16, by their lanes; rates measured on 2 cores of llvmpipe. */
const cpuShared: Readonly<Record<8 | 16, readonly MatmulVariant[]>> = {
  8: [shared(8, 16, 1, 32), shared(8, 32, 1, 42), shared(8, 64, 2, 60)],
  16: [shared(16, 16, 1, 32), shared(16, 32, 1, 42), shared(16, 64, 2, 60)],
};

/** Software adapters without. */
const cpu: readonly MatmulVariant[] = [
  { name: "registers 8x32", kernel: "registers", tile: [8, 32], thread: [8, 1], rate: 11 },
  { name: "registers 16x64", kernel: "registers", tile: [16, 64], thread: [16, 2], rate: 20 },
];

/** Everything else. Rates are estimates from published kernels of this kind. */
const gpu: readonly MatmulVariant[] = [
  { name: "workgroup 32x32", kernel: "workgroup", tile: [32, 32], thread: [4, 1], rate: 40 },
  { name: "workgroup 64x64", kernel: "workgroup", tile: [64, 64], thread: [8, 2], rate: 70 },
  { name: "workgroup 128x128", kernel: "workgroup", tile: [128, 128], thread: [8, 2], rate: 100 },
];

/** Workgroups that run at the same time: more do not end sooner. */
const parallel = { cpu: 2, gpu: 128 };

/** A variant and the number of parts into which it cuts the inner axis. */
export interface MatmulChoice {
  readonly variant: MatmulVariant;
  readonly splits: number;
}

/** The name of a variant among the kernels that a device may have to avoid, and in printed programs. */
export function matmulName({ name }: MatmulVariant): string {
  return `matmul ${name}`;
}

/** The variants that can run on a device and give right values there, at least one. */
export function matmulVariants(device: DeviceProfile): readonly MatmulVariant[] {
  const right = variantsOf(device).filter((v) => !avoids(device, matmulName(v)));
  return right.length ? right : [plainMatmul];
}

function variantsOf(device: DeviceProfile): readonly MatmulVariant[] {
  if (device.kind === "gpu") return gpu.filter((v) => workgroupThreads(v) <= device.workgroupThreads);
  const lanes = sharingLanes(device);
  return lanes ? cpuShared[lanes] : cpu;
}

/** Shapes that are treated alike: each size rounded to a power of two, as "2048x128x128" with "x64" for a batch of 64. */
export function shapeClass({ m, n, k, batch }: MatmulSizes): string {
  const rounded = [m, n, k, batch].map((size) => 2 ** Math.round(Math.log2(size)));
  return (rounded[3] === 1 ? rounded.slice(0, 3) : rounded).join("x");
}

/** The measured choice for a product, if its class was measured and its variant can run here. */
function measuredChoice(device: DeviceProfile, sizes: MatmulSizes): MatmulChoice | undefined {
  const tuned = device.choices?.products[shapeClass(sizes)];
  const variant = tuned && matmulVariants(device).find((v) => v.name === tuned.variant);
  return variant && { variant, splits: variant.kernel === "workgroup" ? tuned.splits : 1 };
}

/** Threads of one workgroup. */
export function workgroupThreads({ tile, thread }: MatmulVariant): number {
  return tile[0] / thread[0] * tile[1] / (4 * thread[1]);
}

/** Values of k that the workgroup kernel stages at a time: as many as its threads load at 16 elements each. */
export function stagedK(variant: MatmulVariant): number {
  return 16 * workgroupThreads(variant) / (variant.tile[0] + variant.tile[1]);
}

let override: ((device: DeviceProfile, sizes: MatmulSizes) => MatmulChoice | undefined) | undefined;

/** For tests and benchmarks: puts choices before the device's own; `undefined` goes back to these. */
export function overrideMatmulChoice(choose: typeof override): void {
  override = choose;
}

/** The variant that was measured to be the fastest, else {@linkcode ruledMatmul}'s. */
export function chooseMatmul(device: DeviceProfile, sizes: MatmulSizes): MatmulChoice {
  return override?.(device, sizes) ?? measuredChoice(device, sizes) ?? ruledMatmul(device, sizes);
}

/** The variant with the least estimated time: full tiles at its rate, in as many waves as the device needs. */
export function ruledMatmul(device: DeviceProfile, sizes: MatmulSizes): MatmulChoice {
  const flop = 2 * sizes.batch * sizes.m * sizes.n * sizes.k;
  const variants = matmulVariants(device), worth = variants.filter((v) => flop >= (v.minFlop ?? 0));
  const choices = (worth.length ? worth : variants)
    .map((variant) => ({ variant, splits: variant.kernel === "workgroup" ? splitsOf(variant, sizes) : 1 }));
  const costs = choices.map((c) => cost(c, sizes, parallel[device.kind]));
  return choices[costs.indexOf(Math.min(...costs))]!;
}

/** Workgroups of one pass over the inner axis. */
export function tileCount({ tile }: MatmulVariant, { m, n, batch }: MatmulSizes): number {
  return batch * Math.ceil(m / tile[0]) * Math.ceil(n / tile[1]);
}

function cost({ variant, splits }: MatmulChoice, sizes: MatmulSizes, lanes: number): number {
  const waves = Math.ceil(tileCount(variant, sizes) * splits / lanes);
  return waves * variant.tile[0] * variant.tile[1] / splits / variant.rate;
}

/** Values of k in a part of the inner axis at least: fewer do not repay the second pass. */
const SHORTEST_PART = 256;
/** Parts of the inner axis at most. */
const MOST_PARTS = 32;

/** Parts of the inner axis that fill the device when the result alone does not. */
function splitsOf(variant: MatmulVariant, sizes: MatmulSizes): number {
  const idle = Math.floor(parallel.gpu / tileCount(variant, sizes));
  return Math.max(1, Math.min(idle, Math.floor(sizes.k / SHORTEST_PART), MOST_PARTS));
}
