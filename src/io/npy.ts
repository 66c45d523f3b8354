/**
 * Arrays of NumPy: `.npz` archives of `.npy` entries, as `numpy.savez` and `savez_compressed` write them (NEP 1, "A simple file format for
 * NumPy arrays"). Numbers only: an entry of Python objects, which would have to be run, is refused.
 *
 * @module
 */
import { type Dtype, elementCount, toFloat32, viewBytes } from "./dtype.ts";
import { openFile } from "./source.ts";
import { readZip } from "./zip.ts";

/** An array of numbers, row-major. */
export interface NumberArray {
  /** The extents. */
  readonly shape: readonly number[];
  /** The values as f32. */
  readonly data: Float32Array;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** The kinds of numbers that are read, by NumPy's names; and their bytes. */
const KINDS: Readonly<Record<string, readonly [Dtype, number]>> = {
  "<f2": ["F16", 2],
  "<f4": ["F32", 4],
  "<f8": ["F64", 8],
  "<i4": ["I32", 4],
  "<i8": ["I64", 8],
};

/** The most bytes that an entry may have unpacked. */
const MOST_BYTES = 2 ** 28;

/**
 * The arrays of these names in an archive; other entries are not unpacked.
 *
 * @throws {SyntaxError} If the file is no archive, or an entry is missing, too large or no plain array of numbers.
 */
export async function readNpz(path: string, names: readonly string[]): Promise<Map<string, NumberArray>> {
  const source = await openFile(path);
  try {
    const { entries, read } = await readZip(source), arrays = new Map<string, NumberArray>();
    for (const name of names) {
      const entry = entries.get(`${name}.npy`),
        bad = (what: string): never => {
          throw new SyntaxError(`Cannot read "${path}": its array "${name}" ${what}`);
        };
      if (!entry) continue;
      if (entry.size > MOST_BYTES) bad(`must have at most ${MOST_BYTES} bytes: it has ${entry.size}`);
      arrays.set(name, parseNpy(await read(entry), bad));
    }
    return arrays;
  } finally {
    source.close();
  }
}

/** The array of an entry; `bad` throws with the end of a sentence about it. */
function parseNpy(bytes: Uint8Array<ArrayBuffer>, bad: (what: string) => never): NumberArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 12 || !MAGIC.every((byte, i) => byte === bytes[i])) bad("is no .npy file");
  const wide = bytes[6]! >= 2, start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  if (start + length > bytes.length) bad(`has a header of ${length} bytes, beyond its end`);
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const kind = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? "", [dtype, size] = KINDS[kind] ?? [];
  if (!dtype || !size) bad(`must be of one of ${Object.keys(KINDS).join(", ")}: its header says ${header.trim()}`);
  if (!/'fortran_order':\s*False/.test(header)) bad("must be in C order");
  const extents = /'shape':\s*\(([\d\s,]*)\)/.exec(header)?.[1];
  if (extents === undefined) return bad(`has no shape in its header ${header.trim()}`);
  const shape = extents.split(",").map((part) => part.trim()).filter((part) => part).map(Number);
  const data = bytes.slice(start + length);
  if (elementCount(shape) * size! !== data.length) {
    bad(`must have ${elementCount(shape) * size!} bytes by its shape (${shape.join(", ")}): it has ${data.length}`);
  }
  return { shape, data: toFloat32({ name: "array", dtype: dtype!, shape, data: viewBytes(dtype!, data) }) };
}
