/**
 * What can go wrong on a disk, as sentences.
 *
 * @module
 */
import { formatBytes } from "../gpu/errors.ts";

/** The disk did not take what was to be written; what lies there whole is still whole. */
export class DiskError extends Error {
  /** For telling errors apart by name. */
  override readonly name = "DiskError";
}

/** By the codes of POSIX. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the quota of the disk is used up",
  EFBIG: "the file system takes no file of that size",
  EROFS: "the file system is read-only",
  EACCES: "the folder may not be written to",
  EPERM: "the folder may not be written to",
  ENOENT: "the folder is gone",
  ENOTDIR: "a part of its path is a file",
  EISDIR: "a folder is there",
  ENAMETOOLONG: "the name is too long",
  EMFILE: "too many files are open",
  EIO: "the disk failed to read or write",
};

/** What is known of a write that failed. */
export interface FailedWrite {
  /** Bytes that the file needs in all, if known. */
  readonly bytes?: number | undefined;
  /** Bytes that were written before. */
  readonly written?: number;
}

/**
 * A DiskError for what the system said: what could not be done, why, how much was needed and how much of it the disk took.
 *
 * @param what "write FILE", with the file's name in quotes.
 */
export function diskError(what: string, error: unknown, { bytes, written }: FailedWrite = {}): Error {
  const { code, message } = error as Error & { code?: string };
  // A permission that Deno was not given is not the disk's fault, and its sentence says which flag is missing.
  if (error instanceof DiskError || error instanceof Deno.errors.NotCapable) return error;
  const reason = REASONS[code ?? ""] ?? message;
  const needed = bytes === undefined ? "" : `${formatBytes(bytes)} needed, `;
  const size = written === undefined ? "" : ` (${needed}${formatBytes(written)} written)`;
  return new DiskError(`Cannot ${what}: ${reason}${size}`, { cause: error });
}
