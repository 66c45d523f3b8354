/**
 * WebGPU's usage bits by value: the globals `GPUBufferUsage` and `GPUMapMode` are absent where there is no WebGPU, and programs
 * are planned and printed there too.
 *
 * @module
 */

/** What a buffer may be used for, as in `GPUBufferUsage`. */
export const BufferUsage = {
  MAP_READ: 0x01,
  COPY_SRC: 0x04,
  COPY_DST: 0x08,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
} as const;

/** A value that kernels read and write, and that is copied to and from other buffers. */
export const VALUE_USAGE: number = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

/** A buffer that is copied to, for the host to read. */
export const READ_BACK_USAGE: number = BufferUsage.MAP_READ | BufferUsage.COPY_DST;

/** `GPUMapMode.READ`. */
export const MAP_MODE_READ = 0x01;
