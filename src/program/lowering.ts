/**
 * What an op says when it is lowered: which kernel runs over which buffers.
 *
 * @module
 */
import type { DeviceProfile } from "../gpu/device.ts";
import type { DType } from "../gpu/dtype.ts";

/** A range of GPU memory that the planner places: an input, a result, or scratch space. Byte units. */
export interface BufferRef {
  /** Number of the value in its plan. */
  readonly value: number;
  /** Bytes from the start of the value. */
  readonly offset: number;
  /** Length of the range. */
  readonly bytes: number;
  /** Element type. */
  readonly dtype: DType;
}

/** Words of a uniform buffer, written once when the program is built. Floats travel as their bits, see `f32Bits`. */
export interface Uniform {
  /** u32 words; padded to 16 bytes. */
  readonly words: readonly number[];
}

/** One run of one kernel. */
export interface Dispatch {
  /** Name in errors, profiles and printed programs: the op, then the variant. */
  readonly name: string;
  /**
   * Complete WGSL with the entry point `main`. Bindings 0, 1, ... of group 0 are `bindings` in order; storage buffers are
   * declared `var<storage, read_write>`, for a dispatch may read and write parts of one buffer.
   */
  readonly code: string;
  /** Buffers and uniforms in the order of the bindings. */
  readonly bindings: readonly (BufferRef | Uniform)[];
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
   * WGSL: the output bindings and `fn emit(i: u32, v: V)`, which stores the value(s) at linear element index `i` of result
   * 0 (batch axes included). `V` is f32 (width 1) or vec4<f32> (width 4; `i` then is a multiple of 4).
   */
  readonly code: string;
  /** To be appended to the dispatch's bindings, starting at the binding number given. */
  readonly bindings: readonly (BufferRef | Uniform)[];
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
  emit(firstBinding: number, width: 1 | 4): Emit;
  /** Appends a kernel run; runs happen in order. */
  dispatch(d: Dispatch): void;
}

const scratchBits = new DataView(new ArrayBuffer(4));

/** The bits of a float as a u32, for uniforms. */
export function f32Bits(x: number): number {
  scratchBits.setFloat32(0, x);
  return scratchBits.getUint32(0);
}
