/**
 * What an op says when it is lowered: which kernel runs over which buffers.
 *
 * @module
 */
import type { DeviceProfile } from "../gpu/device.ts";
import type { DType } from "../gpu/dtype.ts";
import type { Bindings, BoundKernel, BufferRef } from "../gpu/kernel.ts";

export type { Bindings, BoundKernel, BufferRef } from "../gpu/kernel.ts";
export type { Uniform, UniformValues } from "../gpu/uniform.ts";

/** One run of one kernel. Its name is the op, then the variant. */
export interface Dispatch extends BoundKernel {
  /**
   * Number of workgroups, as one linear count. Beyond 65,535 the dispatch is folded to two dimensions: kernels take their
   * number from `linear_workgroup` (kernels/prelude.wgsl) and return when it is not below their own count.
   */
  readonly workgroups: number;
  /** Floating-point operations, for profiles. */
  readonly flop?: number;
}

/** The writer of result 0, with the fused element-wise ops inside it. */
export interface Emit {
  /**
   * WGSL for the kernel's `//#hook emit`: the output bindings and `fn emit(i: u32, v: V)`, which stores the value(s) at linear
   * element index `i` of result 0 (batch axes included). `V` is f32 (width 1) or vec4<f32> (width 4; `i` then is a multiple
   * of 4).
   */
  readonly code: string;
  /** What the code's bindings stand for, to be bound with the kernel's own. */
  readonly bindings: Bindings;
}

/** The planner's side of a lowering. */
export interface Lowering {
  /** What the adapter is and can do. */
  readonly device: DeviceProfile;
  /** The inputs, contiguous and aligned. */
  readonly inputs: readonly BufferRef[];
  /** Results; for an op that `emits`, result 0 must be written through `emit` only. */
  readonly outputs: readonly BufferRef[];
  /** Memory for this op alone. */
  scratch(bytes: number, dtype?: DType): BufferRef;
  /** Code that writes result 0. Width 4 only where the last axis of result 0 is a multiple of 4. */
  emit(width: 1 | 4): Emit;
  /** Appends a kernel run; runs happen in order. */
  dispatch(d: Dispatch): void;
}

const scratchBits = new DataView(new ArrayBuffer(4));

/** The bits of a float as a u32, for uniforms. */
export function f32Bits(x: number): number {
  scratchBits.setFloat32(0, x);
  return scratchBits.getUint32(0);
}
