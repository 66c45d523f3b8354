/**
 * Opening a checkpoint whatever tool wrote it.
 *
 * @module
 */

import type { Archive } from "./archive.ts";
import { pickKey, pickStateDict, readPth } from "./pth.ts";
import { readSafetensors } from "./safetensors.ts";
import { openFile } from "./source.ts";

/**
 * Whether a file starts like a ZIP archive or a pickle. The length that a safetensors file starts with may have the same
 * first bytes, but then its JSON follows.
 */
function isTorch(start: Uint8Array): boolean {
  const isZip = start[0] === 0x50 && start[1] === 0x4B, isPickle = start[0] === 0x80 && start[1]! <= 5;
  return (isZip || isPickle) && start[8] !== 0x7B;
}

/**
 * Opens a safetensors file or a PyTorch archive; which of them it is, its first bytes tell. Of a PyTorch archive the state dict is
 * taken: the outermost dict when it holds tensors, else its member "model" or "state_dict", else its only dict of
 * tensors.
 *
 * @param options.key The member to take, when there are several or it is another one.
 * @throws {TypeError} When a key was given for a safetensors file.
 * @throws {SyntaxError} When the file is damaged, or when no single state dict is in it and no key was given.
 */
export async function openCheckpoint(path: string, { key }: { readonly key?: string } = {}): Promise<Archive> {
  const source = await openFile(path);
  try {
    const start = await source.read(0, Math.min(9, source.size));
    if (!isTorch(start)) {
      if (key === undefined) return await readSafetensors(source);
      throw new TypeError(`Cannot read "${path}": it is no PyTorch archive, so it has no member "${key}"`);
    }
    return await readPth(source, key === undefined ? pickStateDict : pickKey(key));
  } catch (error) {
    source.close();
    throw error;
  }
}
