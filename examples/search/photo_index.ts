/** The index of a folder's photos: their features in a safetensors file, with what the files were when these were made. */
import { openSafetensors, settings, sha256OfText, writeSafetensors } from "../../mod.ts";

/** A photo as it was when its feature was made. */
export interface Photo {
  /** Relative to the folder, with "/". */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Time of the last change, milliseconds; 0 where the file system does not say. */
  readonly mtime: number;
}

/** An index. */
export interface PhotoIndex {
  /** The folder of the photos, a whole path. */
  readonly folder: string;
  /** What tells models apart: of the parameters, the tokenizer and the sizes. */
  readonly fingerprint: string;
  /** Settings that open the model again. */
  readonly run: Readonly<Record<string, unknown>>;
  readonly photos: readonly Photo[];
  /** [photos, width], each of length 1. */
  readonly features: Float32Array;
  readonly width: number;
}

const FORMAT = "gritstone-photos-1";

/** A model's fingerprint: features of models with another one cannot be compared. */
export async function fingerprintOf(parts: readonly (string | number)[]): Promise<string> {
  return await sha256OfText(JSON.stringify(parts));
}

/** The feature of a photo. */
export function featureAt({ features, width }: PhotoIndex, number: number): Float32Array {
  return features.subarray(number * width, (number + 1) * width);
}

/** Writes an index atomically: a reader meets the old one or the new one. */
export async function saveIndex(
  path: string,
  { folder, fingerprint, run, photos, features, width }: PhotoIndex,
): Promise<void> {
  const shape = [photos.length, width];
  const metadata = { format: FORMAT, folder, fingerprint, run: JSON.stringify(run), photos: JSON.stringify(photos) };
  await writeSafetensors(
    path,
    [{ name: "features", dtype: "F32", shape, data: features as Float32Array<ArrayBuffer> }],
    metadata,
  );
}

/**
 * Reads an index; undefined if there is no such file.
 *
 * @throws {Error} If it is no index.
 */
export async function openIndex(path: string): Promise<PhotoIndex | undefined> {
  const isThere = await Deno.stat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
  if (!isThere) return undefined;
  const archive = await openSafetensors(path);
  try {
    const { metadata, tensors } = archive, info = tensors.get("features");
    const folder = metadata.get("folder"), fingerprint = metadata.get("fingerprint");
    if (
      metadata.get("format") !== FORMAT || !folder || !fingerprint || info?.dtype !== "F32" || info.shape.length !== 2
    ) {
      throw noIndex(path, `it must be a file of this program, of format "${FORMAT}", with a matrix "features"`);
    }
    const run = parsed(path, "run", metadata.get("run"), isRecord),
      photos = parsed(path, "photos", metadata.get("photos"), arePhotos);
    const [count, width] = info.shape as [number, number];
    if (photos.length !== count) {
      throw noIndex(path, `it has ${count} features: it must have one for each of its ${photos.length} photos`);
    }
    const { data } = await archive.read("features");
    return { folder, fingerprint, run, photos, features: data as Float32Array, width };
  } finally {
    archive.close();
  }
}

/** An index that must be there. */
export async function openIndexOf(path: string): Promise<PhotoIndex> {
  const index = await openIndex(path);
  if (index) return index;
  throw new settings.UsageError(
    `--index "${path}" does not exist; make it with: search.ts index FOLDER --checkpoint RUN --index ${path}`,
  );
}

function noIndex(path: string, reason: string): Error {
  return new Error(`Cannot use "${path}" as an index of photos: ${reason}`);
}

function parsed<T>(path: string, name: string, text: string | undefined, accepts: (value: unknown) => value is T): T {
  try {
    const value: unknown = JSON.parse(text ?? "");
    if (accepts(value)) return value;
  } catch { /* said below */ }
  throw noIndex(path, `its "${name}" must be what this program writes`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Paths lead to nowhere outside of the folder: the page embeds what they name. */
function arePhotos(value: unknown): value is Photo[] {
  return Array.isArray(value) &&
    value.every((photo) =>
      isRecord(photo) && typeof photo.path === "string" && Number.isFinite(photo.size) &&
      Number.isFinite(photo.mtime) &&
      photo.path !== "" && !photo.path.split(/[/\\]/).some((part) => part === "" || part === "..")
    );
}
