/**
 * Regions in the `.tsv` files that bottom-up attention writes (Anderson et al. 2018): a line for each image, numbers as base64. Lines have
 * 6 columns (image_id, image_w, image_h, num_boxes, boxes, features), or LXMERT's 10 (img_id, img_h, img_w, objects_id, objects_conf,
 * attrs_id, attrs_conf, num_boxes, boxes, features).
 *
 * @module
 */
import { openFile } from "../../io/source.ts";
import { ExampleError } from "../dataset.ts";
import { decode, readChunks } from "../text_stream.ts";
import { checkRegions, MOST_REGIONS, type Regions, type RegionSource, stemOf } from "./regions.ts";

const COLUMNS = {
  6: ["id", "width", "height", "count", "boxes", "features"],
  10: [
    "id",
    "height",
    "width",
    "classes",
    "confidences",
    "attributes",
    "attributeConfidences",
    "count",
    "boxes",
    "features",
  ],
} as const;

/** The longest line that is read: 1,000 regions of 4,096 numbers as base64 take 22 MB. */
const MOST_BYTES = 2 ** 25;
const [NEWLINE, TAB] = [0x0a, 0x09];

/** Where a line is. */
interface Line {
  readonly number: number;
  readonly begin: number;
  readonly end: number;
}

/**
 * Opens such a file: one pass finds the lines; an image's line is read and its sizes are checked when it is asked for.
 *
 * An image is found by its name without ending, or by the number at the end of it: "COCO_val2014_000000000042" by "42".
 *
 * @param classes How many classes the detector has, for files with them. @default 1600, of Visual Genome
 * @throws {SyntaxError} If the file has no line, an image twice, or a line that is too long or has other columns.
 */
export async function openRegionTsv(path: string, classes: number = 1600): Promise<RegionSource> {
  const lines = await findLines(path), file = await openFile(path);
  const read = async (line: Line): Promise<Record<string, string>> =>
    columnsOf(decode(await file.read(line.begin, line.end)));
  try {
    const [first] = lines.values(), columns = await read(first!);
    const width = bytesOf(columns, "features").length / 4 / numberOf(columns, "count", MOST_REGIONS);
    if (!Number.isInteger(width) || width < 1) {
      throw new ExampleError("has features that are not as many for each region");
    }
    const sizes = { width, classes: columns.classes === undefined ? 0 : classes };
    return {
      name: path,
      ...sizes,
      regions: async (image) => {
        const line = lines.get(keyOf(stemOf(image), lines));
        if (!line) throw new ExampleError(`has no regions in "${path}"`, image);
        try {
          return checkRegions(regionsOf(await read(line)), sizes);
        } catch (error) {
          throw error instanceof ExampleError
            ? new ExampleError(`has a line ${line.number} that ${error.message}`, path)
            : error;
        }
      },
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error instanceof ExampleError ? new SyntaxError(`Cannot read "${path}": line 1 ${error.message}`) : error;
  }
}

/** The name itself if the file has it, otherwise the number at its end. */
function keyOf(stem: string, lines: ReadonlyMap<string, Line>): string {
  const digits = /\d+$/.exec(stem)?.[0];
  return lines.has(stem) || digits === undefined ? stem : digits.replace(/^0+(?=\d)/, "");
}

/** The lines of a file by the first column; nothing but that is held. */
async function findLines(path: string): Promise<Map<string, Line>> {
  const lines = new Map<string, Line>();
  let at = 0, begin = 0, number = 1, id: number[] | string = [];
  const end = (): void => {
    if (at > begin) {
      if (typeof id !== "string") throw new SyntaxError(`Cannot read "${path}": line ${number} has no tabs`);
      if (lines.has(id)) throw new SyntaxError(`Cannot read "${path}": line ${number} has the image "${id}" once more`);
      lines.set(id, { number, begin, end: at });
    }
    [begin, id] = [at + 1, []];
    number++;
  };
  for await (const chunk of readChunks(path)) {
    for (let i = 0; i < chunk.length; i++, at++) {
      if (typeof id !== "string") { // the first column, byte by byte
        if (chunk[i] === NEWLINE) end();
        else if (chunk[i] === TAB) id = stemOf(decode(Uint8Array.from(id)));
        else if (id.push(chunk[i]!) > 4096) throw new SyntaxError(`Cannot read "${path}": line ${number} has no tabs`);
        continue;
      }
      const next = chunk.indexOf(NEWLINE, i), skip = (next < 0 ? chunk.length : next) - i;
      at += skip;
      i += skip;
      if (at - begin > MOST_BYTES) {
        throw new SyntaxError(`Cannot read "${path}": line ${number} must have at most ${MOST_BYTES >> 20} MiB`);
      }
      if (next >= 0) end();
      else at--; // the loop counts it
    }
  }
  end();
  if (!lines.size) throw new SyntaxError(`Cannot read "${path}": it has no lines, at least one is needed`);
  return lines;
}

function columnsOf(line: string): Record<string, string> {
  const values = line.replace(/\r$/, "").split("\t"), names = COLUMNS[values.length as keyof typeof COLUMNS];
  if (!names) throw new ExampleError(`has ${values.length} columns; 6 or 10 are expected`);
  return Object.fromEntries(names.map((name, i) => [name, values[i]!]));
}

function regionsOf(columns: Record<string, string>): Regions {
  const count = numberOf(columns, "count", MOST_REGIONS), boxes = floatsOf(columns, "boxes");
  const size = [numberOf(columns, "width", 1e6), numberOf(columns, "height", 1e6)];
  const shares = boxes.map((x, i) => Math.min(Math.max(x / size[i % 2]!, 0), 1));
  const common = { count, boxes: shares, features: floatsOf(columns, "features") };
  if (columns.classes === undefined) return common;
  const ids = new BigInt64Array(bytesOf(columns, "classes", 8).buffer);
  if (ids.some((id) => id < 0n || id > 0xffffffffn)) throw new ExampleError("has a class that is no number of one");
  return { ...common, classes: Uint32Array.from(ids, Number), confidences: floatsOf(columns, "confidences") };
}

function numberOf(columns: Record<string, string>, name: string, most: number): number {
  const value = Number(columns[name]);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new ExampleError(
    `has ${JSON.stringify(columns[name])} as ${name}; a whole number from 1 to ${most} is expected`,
  );
}

/** The bytes of a base64 column, a multiple of `unit`. */
function bytesOf(columns: Record<string, string>, name: string, unit = 4): Uint8Array<ArrayBuffer> {
  try {
    const text = atob(columns[name]!), bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    if (bytes.length % unit === 0) return bytes;
  } catch {
    // said below
  }
  throw new ExampleError(`has ${name} that are not base64 of numbers of ${unit} bytes`);
}

function floatsOf(columns: Record<string, string>, name: string): Float32Array {
  return new Float32Array(bytesOf(columns, name).buffer);
}
