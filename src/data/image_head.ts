// deno-lint-ignore-file no-control-regex -- files begin with such characters
/**
 * What an image file is, from its first bytes; its name says nothing.
 *
 * @module
 */

/** Kinds that are decoded. */
export type ImageKind = "JPEG" | "PNG" | "WebP" | "GIF" | "TIFF" | "AVIF";

/** Why an image cannot be used: a predicate that follows the file's name in a message. */
export class ImageError extends Error {
  /** "ImageError". */
  override name = "ImageError";
}

/** Bytes that are looked at: the head of most JPEG files with their thumbnails. */
const HEAD = 1 << 16;

const supported: readonly (readonly [kind: ImageKind, start: RegExp])[] = [
  ["JPEG", /^\xff\xd8\xff/],
  ["PNG", /^\x89PNG\r\n\x1a\n/],
  ["WebP", /^RIFF[^]{4}WEBP/],
  ["GIF", /^GIF8[79]a/],
  ["TIFF", /^(II[*+]\0|MM\0[*+])/],
  ["AVIF", /^[^]{4}ftyp(avif|avis|mif1|msf1)/],
];

/** What else people call an image. */
const others: readonly (readonly [kind: string, start: RegExp])[] = [
  ["BMP", /^BM[^]{12}/],
  ["PPM (or another Netpbm format)", /^P[1-7][\s#]/],
  ["JPEG 2000", /^(\0\0\0\x0cjP {2}\r\n|\xff\x4f\xff\x51)/],
  ["JPEG XL", /^(\0\0\0\x0cJXL \r\n|\xff\x0a)/],
  ["HEIC", /^[^]{4}ftyp(hei|hev|hem|hes)/],
  ["SVG", /^(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*|<!--[^]*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg[\s>]/i],
  ["HTML", /^(\xef\xbb\xbf)?\s*<(!DOCTYPE html|html|head|body)[\s>]/i],
  ["PDF", /^%PDF-/],
  ["ICO", /^\0\0[\x01\x02]\0/],
  ["PSD", /^8BPS/],
  ["EXR", /^v\/1\x01/],
  ["Radiance HDR", /^#\?RADIANCE/],
];

/**
 * The first bytes of a file.
 *
 * @throws {ImageError} If there is none, it may not be read, or it is a folder, a pipe or a device.
 */
export async function readHead(path: string): Promise<Uint8Array> {
  try {
    if (!(await Deno.stat(path)).isFile) throw new ImageError("is not a file");
    using file = await Deno.open(path);
    const head = new Uint8Array(HEAD);
    return head.subarray(0, await file.read(head) ?? 0);
  } catch (error) {
    if (error instanceof ImageError) throw error;
    if (error instanceof Deno.errors.NotFound || path.includes("\0")) throw new ImageError("does not exist");
    throw new ImageError(`cannot be read (${(error as Error).message})`);
  }
}

/**
 * The kind of an image that starts with some bytes.
 *
 * @throws {ImageError} If it is of a kind that is not decoded; it is named if it is known.
 */
export function kindOf(head: Uint8Array): ImageKind {
  const start = String.fromCharCode(...head.subarray(0, 1024)),
    has = ([, form]: readonly [string, RegExp]) => form.test(start);
  const kind = supported.find(has)?.[0];
  if (kind) return kind;
  const other = others.find(has)?.[0];
  if (!other) throw new ImageError("is damaged or not an image");
  throw new ImageError(`is ${other}, which is not supported: ${supported.map(([kind]) => kind).join(", ")} are`);
}

/** How many colours the frame of a JPEG file has, undefined if that is not in its head. */
export function jpegComponents(head: Uint8Array): number | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  for (let at = 2; at + 9 < head.length;) {
    const marker = view.getUint8(at + 1);
    if (view.getUint8(at) !== 0xff) return undefined;
    if (marker === 0xff) at++; // a fill byte
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return view.getUint8(at + 9);
    else at += 2 + view.getUint16(at + 2);
  }
  return undefined;
}
