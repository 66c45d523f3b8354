/**
 * Files of results, a line of JSON each.
 *
 * @module
 */

/** Whether a value is what a field needs; the sentence's end, if not, is thrown with the field's path. */
export type Check = (value: unknown, path: string) => void;

/** A check by what a value must be, as in "a number". */
export function rule(what: string, holds: (value: unknown) => boolean): Check {
  return (value, path) => {
    if (holds(value)) return;
    const text = JSON.stringify(value) ?? "missing";
    throw new TypeError(`"${path}" must be ${what}: it is ${text.length > 40 ? `${text.slice(0, 40)}...` : text}`);
  };
}

/** Characters. */
export const text: Check = rule("a text", (v) => typeof v === "string" && v !== "");
/** 0, 1, 2, ... */
export const whole: Check = rule("a whole number of 0 or more", (v) => Number.isSafeInteger(v) && (v as number) >= 0);
/** Finite. */
export const number: Check = rule("a number", Number.isFinite);
/** Finite. */
export const positive: Check = rule("a number above 0", (v) => Number.isFinite(v) && (v as number) > 0);
/** 0 to 100. */
export const percent: Check = rule(
  "a percentage from 0 to 100",
  (v) => Number.isFinite(v) && (v as number) >= 0 && (v as number) <= 100,
);

/** An object with these fields and no others; a name that ends with ? may be left out. */
export function object(fields: Readonly<Record<string, Check>>): Check {
  const checks = new Map(
    Object.entries(fields).map(([key, check]) => [key.replace("?", ""), [check, key.endsWith("?")]] as const),
  );
  return (value, path) => {
    rule("an object", (v) => typeof v === "object" && v !== null && !Array.isArray(v))(value, path);
    const entry = value as Record<string, unknown>, inside = (key: string) => path === "line" ? key : `${path}.${key}`;
    for (const key of Object.keys(entry)) if (!checks.has(key)) throw new TypeError(`"${inside(key)}" is no field`);
    for (const [key, [check, optional]] of checks) {
      if (!optional || entry[key] !== undefined) check(entry[key], inside(key));
    }
  };
}

/** A list of such values. */
export function list(check: Check): Check {
  return (value, path) => {
    rule("a list", Array.isArray)(value, path);
    (value as unknown[]).forEach((item, i) => check(item, `${path}[${i}]`));
  };
}

/**
 * The results in a file of lines; none if there is no file.
 *
 * @param check Of a line; its path is "line".
 * @throws {Error} If a line is no result; the message names the file, the line and the field.
 */
export async function readLines<R>(path: string, check: Check): Promise<R[]> {
  const content = await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  return content.split("\n").flatMap((json, i) => {
    if (!json.trim()) return [];
    try {
      const value: unknown = JSON.parse(json);
      check(value, "line");
      return [value as R];
    } catch (error) {
      throw new Error(`"${path}", line ${i + 1}: ${(error as Error).message}`);
    }
  });
}

/** Appends a result to a file of lines, numbers to six digits. */
export async function appendLine(path: string, result: unknown): Promise<void> {
  const short = (_: string, value: unknown): unknown =>
    typeof value === "number" ? Number(value.toPrecision(6)) : value;
  await Deno.writeTextFile(path, JSON.stringify(result, short) + "\n", { append: true });
}
