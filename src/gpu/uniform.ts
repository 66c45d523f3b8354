/**
 * Uniform buffers as WGSL lays them out: where the fields of a struct are, and the words that hold their values.
 *
 * @module
 */

/** Words of a uniform buffer, written once when the program is built. */
export interface Uniform {
  /** u32 words; padded to 16 bytes. */
  readonly words: readonly number[];
}

/** Values of a uniform: those of its fields by name, a vector as a list; or the u32 words of an `array<vec4<u32>, N>`. */
export type UniformValues = readonly number[] | { readonly [field: string]: number | readonly number[] };

/** A field of a uniform. */
interface Field {
  readonly name: string;
  readonly type: "u32" | "i32" | "f32";
  /** Bytes from the start of the uniform. */
  readonly offset: number;
  /** Numbers that it holds. */
  readonly length: number;
}

/** Where the fields of a uniform are. An array is one field without a name. */
export interface UniformLayout {
  readonly fields: readonly Field[];
  readonly bytes: number;
}

const memberType = /^(?:vec([234])<(u32|i32|f32)>|(u32|i32|f32))$/;
const wordsType = /^array<vec4<u32>,\s*(\d+)>$/;

/**
 * The layout of a uniform of a type: a struct whose `body` (the text between its braces) is given, or an `array<vec4<u32>, N>`.
 *
 * @throws {Error} if it holds anything but u32, i32, f32 and vectors of them.
 */
export function uniformLayout(type: string, body: string | undefined): UniformLayout {
  if (body !== undefined) return structLayout(body);
  const length = 4 * Number(wordsType.exec(type)?.[1]);
  if (Number.isNaN(length)) throw new Error(`its type must be a struct or array<vec4<u32>, N>: it is ${type}`);
  return { fields: [{ name: "", type: "u32", offset: 0, length }], bytes: 4 * length };
}

/** WGSL's rule: a vector of 2 numbers starts at a multiple of 8 bytes, one of 3 or 4 at a multiple of 16. */
function structLayout(body: string): UniformLayout {
  const fields: Field[] = [];
  let end = 0, align = 4;
  for (const member of body.split(/,(?![^<]*>)/).map((m) => m.trim()).filter(Boolean)) {
    const [name, type] = member.split(/\s*:\s*/) as [string, string];
    const [, length = "1", element, scalar] = memberType.exec(type ?? "") ?? [];
    const own = 4 * (length === "3" ? 4 : Number(length)), offset = Math.ceil(end / own) * own;
    if (!element && !scalar) throw new Error(`a field must be u32, i32, f32 or a vector of them: it is "${member}"`);
    fields.push({ name, type: (element ?? scalar) as Field["type"], offset, length: Number(length) });
    end = offset + 4 * Number(length);
    align = Math.max(align, own);
  }
  return { fields, bytes: Math.ceil(end / align) * align };
}

/**
 * The words of a uniform that holds `values`.
 *
 * @param refuse Called with the rest of a sentence where they do not fit: `"rows" must be a u32: it is 0.5`.
 */
export function packUniform(
  { fields, bytes }: UniformLayout,
  values: UniformValues,
  refuse: (sentence: string) => never,
): Uniform {
  const view = new DataView(new ArrayBuffer(bytes));
  for (const { name, type, offset, length } of fields) {
    const given = Array.isArray(values) ? values : (values as Record<string, number | readonly number[]>)[name]!;
    const numbers: readonly number[] = typeof given === "number" ? [given] : given;
    if (name ? numbers.length !== length : numbers.length > length) {
      refuse(`${name ? `"${name}" must hold` : "it must hold at most"} ${length} numbers: there are ${numbers.length}`);
    }
    numbers.forEach((x, i) => {
      if (!fits[type](x)) {
        refuse(`"${name}" must be ${type === "f32" ? "a finite f32" : `of type ${type}`}: it is ${x}`);
      }
      write[type](view, offset + 4 * i, x);
    });
  }
  return { words: Array.from({ length: bytes / 4 }, (_, i) => view.getUint32(4 * i, true)) };
}

const fits: Record<Field["type"], (x: number) => boolean> = {
  u32: (x) => x >>> 0 === x,
  i32: (x) => (x | 0) === x,
  f32: (x) => Number.isFinite(Math.fround(x)),
};

const write: Record<Field["type"], (view: DataView, at: number, x: number) => void> = {
  u32: (view, at, x) => view.setUint32(at, x, true),
  i32: (view, at, x) => view.setInt32(at, x, true),
  f32: (view, at, x) => view.setFloat32(at, x, true),
};
