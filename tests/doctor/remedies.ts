/** What to avoid where a family of kernels is wrong, found by trying. */
import type { Device } from "../../src/gpu/device.ts";
import { avoidable } from "../../src/gpu/kernel_choices.ts";
import { matmulName, matmulVariants, overrideMatmulChoice } from "../../src/ops/matmul_variants.ts";
import { matmulCheck } from "./checks.ts";
import type { Family } from "./families.ts";
import { checkFamily } from "./report.ts";

/** Lists of kernels to avoid, the smallest loss of speed first; the first list that makes a family right is taken. */
export type Remedies = (device: Device) => Promise<readonly (readonly string[])[]>;

/** One list of one kernel. */
export function without(name: keyof typeof avoidable): Remedies {
  return () => Promise.resolve([[avoidable[name]]]);
}

/** What is wrong with each kernel for products that may be chosen on this device, at the borders of its tiles; by name. */
export async function wrongTiles(device: Device): Promise<Map<string, Error>> {
  const wrong = new Map<string, Error>();
  for (const variant of matmulVariants(device.profile)) {
    const [rows, columns] = variant.tile;
    overrideMatmulChoice(() => ({ variant, splits: 1 }));
    try {
      await matmulCheck(rows + 4, columns + 1, 36, { transposeB: true })(device);
    } catch (error) {
      wrong.set(matmulName(variant), error as Error);
    } finally {
      overrideMatmulChoice(undefined);
    }
  }
  return wrong;
}

/** The tiles that are wrong, else each of them, then what they have in common, then all of them. */
export const otherTiles: Remedies = async (device) => {
  const wrong = [...(await wrongTiles(device)).keys()], all = matmulVariants(device.profile).map(matmulName);
  const some = wrong.length ? [wrong] : all.map((name) => [name]);
  return [
    ...some.filter(({ length }) => length < all.length),
    ...device.profile.subgroups ? [[avoidable.subgroups]] : [],
    all,
  ];
};

/** Rows and products, as losses compute with both. */
export const otherRowsOrTiles: Remedies = async (device) => {
  const tiles = await otherTiles(device), rows = avoidable.rows;
  return [[rows], ...tiles, [rows, ...tiles.at(-1)!]];
};

/** What was found for wrong families. */
export interface Mended {
  /** Kernels whose plainer forms make families right. */
  readonly avoid: readonly string[];
  /** Families that stay wrong. */
  readonly left: readonly string[];
}

/** Finds what `device` must avoid so that wrong families become right, and lets it avoid that from now on. */
export async function mend(device: Device, wrong: readonly Family[]): Promise<Mended> {
  const avoid: string[] = [], left: string[] = [];
  if (!wrong.length) return { avoid, left };
  const isRight = async (family: Family, more: readonly string[] = []): Promise<boolean> => {
    device.choose({ avoid: [...avoid, ...more], products: {} });
    return (await checkFamily(family, device)).state !== "wrong";
  };
  for (const family of wrong) {
    if (device.loss) left.push(family.name);
    else if (!await isRight(family)) { // what mended one before may have mended this one
      const remedies = await family.remedies?.(device) ?? [];
      const found = await firstOf(remedies, (more) => isRight(family, more));
      if (found) avoid.push(...found);
      else left.push(family.name);
    }
  }
  device.choose({ avoid, products: {} });
  return { avoid, left };
}

async function firstOf<T>(values: readonly T[], accepts: (value: T) => Promise<boolean>): Promise<T | undefined> {
  for (const value of values) if (await accepts(value)) return value;
  return undefined;
}
