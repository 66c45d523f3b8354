/**
 * What kernels are chosen by.
 *
 * @module
 */
import { avoidable, type KernelChoices } from "./kernel_choices.ts";

/** What a lowering may know of the device. */
export interface DeviceProfile {
  /** "cpu": a software adapter (barriers cost, loads dominate, few lanes); "gpu": everything else. */
  readonly kind: "cpu" | "gpu";
  /** Whether subgroup built-ins may be used. */
  readonly subgroups: boolean;
  /** Lanes of a subgroup where it is one fixed number, else 0. */
  readonly subgroupSize: number;
  /** Whether f16 storage may be used. */
  readonly f16: boolean;
  /** Bytes to which the start of a storage binding is aligned. */
  readonly alignment: number;
  /** Largest storage binding, bytes. */
  readonly maxBindingBytes: number;
  /** Largest workgroup memory, bytes. */
  readonly workgroupBytes: number;
  /** Largest number of invocations in a workgroup. */
  readonly workgroupThreads: number;
  /** Storage buffers that one kernel may bind. */
  readonly maxStorageBuffers: number;
  /** What is known of the adapter's kernels beside this. */
  readonly choices?: KernelChoices;
}

/** Lanes of a subgroup that share what they load on a CPU adapter, 8 or 16; 0 where they cannot or there are others. */
export function sharingLanes({ kind, subgroups, subgroupSize }: DeviceProfile): 0 | 8 | 16 {
  if (kind !== "cpu" || !subgroups) return 0;
  return subgroupSize === 8 || subgroupSize === 16 ? subgroupSize : 0;
}

/** A profile with these choices; what has to be avoided altogether is not there. */
export function chosenBy(choices: KernelChoices, whole: DeviceProfile): DeviceProfile {
  const { subgroups, f16 } = whole, may = (name: string): boolean => !choices.avoid.includes(name);
  return { ...whole, subgroups: subgroups && may(avoidable.subgroups), f16: f16 && may(avoidable.f16), choices };
}
