/**
 * The first frame of a GIF file as Pillow gives it in RGB: transparent pixels keep the colour that the palette has for them, and what the
 * frame leaves open has that of the transparent index, or of index 0. Decoders that give transparency have lost these colours.
 *
 * @module
 */

/** Where the first frame lies, and its colours. */
export interface GifFrame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** Red, green and blue around it. */
  readonly around: Uint8Array;
}

/**
 * Makes the first frame of a file opaque, in place.
 *
 * @returns Where it is; undefined if the file is damaged or has no palette.
 */
export function makeOpaque(file: Uint8Array): GifFrame | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  try {
    return opaque(file, view);
  } catch (error) {
    if (error instanceof RangeError) return undefined; // it ends before its first frame
    throw error;
  }
}

function opaque(file: Uint8Array, view: DataView): GifFrame | undefined {
  let palette = paletteAt(13, view.getUint8(10)), at = palette.end, transparent = 0;
  for (let block = view.getUint8(at); block === EXTENSION; block = view.getUint8(at)) {
    if (view.getUint8(at + 1) === GRAPHIC_CONTROL && view.getUint8(at + 3) & 1) {
      transparent = view.getUint8(at + 6);
      file[at + 3]! &= ~1;
    }
    for (at += 2; view.getUint8(at); at += 1 + view.getUint8(at)); // sub-blocks
    at++;
  }
  if (view.getUint8(at) !== IMAGE) return undefined;
  const [left, top, width, height] = [1, 3, 5, 7].map((place) => view.getUint16(at + place, true)) as [
    number,
    number,
    number,
    number,
  ];
  const own = paletteAt(at + 10, view.getUint8(at + 9));
  if (own.colors) palette = own;
  if (transparent >= palette.colors) return undefined;
  const from = palette.start + 3 * transparent;
  return { left, top, width, height, around: file.slice(from, from + 3) };
}

const EXTENSION = 0x21, GRAPHIC_CONTROL = 0xf9, IMAGE = 0x2c;

/** A table of colours that may follow a byte of flags. */
function paletteAt(start: number, flags: number): { start: number; end: number; colors: number } {
  const colors = flags & 0x80 ? 2 << (flags & 7) : 0;
  return { start, end: start + 3 * colors, colors };
}
