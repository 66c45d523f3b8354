/**
 * What can go wrong on the GPU, as sentences.
 *
 * @module
 */

/** A kernel did not compile, or a dispatch of it was refused. */
export class KernelError extends Error {
  /** For telling errors apart by name. */
  override readonly name = "KernelError";
}

/** A buffer could not be allocated. */
export class OutOfMemoryError extends Error {
  /** For telling errors apart by name. */
  override readonly name = "OutOfMemoryError";
}

/**
 * The adapter, or the kernels on this kind of adapter, cannot run what was asked: a smaller size or another adapter can. Nothing
 * is wrong with the call otherwise, so a search for the largest size may go on below.
 */
export class UnsupportedError extends RangeError {
  /** For telling errors apart by name. */
  override readonly name = "UnsupportedError";
}

/** The GPU was reset, unplugged or taken away; what it held is gone. */
export class DeviceLostError extends Error {
  /** For telling errors apart by name. */
  override readonly name = "DeviceLostError";
}

/** Bytes for people: "1.50 GiB", "12.0 MiB", "480 B". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (bytes >= 1024 && at < units.length - 1) bytes /= 1024, at++;
  return `${at === 0 ? bytes : bytes.toPrecision(3)} ${units[at]}`;
}

/** A KernelError for WGSL that does not compile: the kernel, each message and the line it points at. */
export function compileError(kernel: string, code: string, messages: readonly GPUCompilationMessage[]): KernelError {
  const lines = code.split("\n");
  const text = messages.filter((m) => m.type === "error").map((m) =>
    m.lineNum > 0 ? `line ${m.lineNum}: ${m.message}\n    ${lines[m.lineNum - 1]?.trim() ?? ""}` : m.message
  );
  return new KernelError(`Cannot compile the kernel "${kernel}": ${text.join("\n")}`);
}
