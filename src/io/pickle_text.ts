/**
 * Numbers and texts as pickles of Python 2 write them: a line of ASCII for each. Functions give nothing for what is no such line.
 *
 * @module
 */

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of Python 2's `str`, which is bytes: UTF-8 if they are, else Latin-1. */
export function byteString(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    return latin1(bytes);
  }
}

/** A text with a character for each byte. `TextDecoder` takes "latin1" for another encoding. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

/** "12", "-3" or "12L", and the booleans "00" and "01". */
export function parseInteger(line: string): number | bigint | boolean | undefined {
  if (line === "00" || line === "01") return line === "01";
  if (/^-?\d{1,15}$/.test(line)) return Number(line);
  if (!/^-?\d{1,1000}L?$/.test(line)) return undefined;
  const value = BigInt(line.replace("L", "")), number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** "1.5", "1e-07", "inf" or "nan". */
export function parseFloat64(line: string): number | undefined {
  if (/^-?inf$/.test(line)) return line === "inf" ? Infinity : -Infinity;
  if (line === "nan") return NaN;
  return /^-?\d+(\.\d*)?(e[+-]?\d+)?$/.test(line) ? Number(line) : undefined;
}

const escapes = new Map([["n", "\n"], ["r", "\r"], ["t", "\t"], ["\\", "\\"], ["'", "'"], ['"', '"']]);

/** A `str` in quotes, as `repr` shows it. */
export function parseQuoted(line: string): string | undefined {
  const quote = line[0];
  if (line.length < 2 || (quote !== "'" && quote !== '"') || line.at(-1) !== quote) return undefined;
  let valid = true;
  const plain = line.slice(1, -1).replace(/\\(?:x([0-9a-f]{2})|(.?))|['"]/g, (all, code, letter) => {
    if (code) return String.fromCharCode(parseInt(code, 16));
    valid &&= letter === undefined ? all !== quote : escapes.has(letter);
    return escapes.get(letter) ?? all;
  });
  return valid ? byteString(Uint8Array.from(plain, (character) => character.charCodeAt(0))) : undefined;
}

/** A `unicode`: Latin-1 with `\uXXXX` and `\UXXXXXXXX` for everything else. */
export function parseUnicode(line: string): string | undefined {
  try {
    return line.replace(
      /\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g,
      (_, short, long) => String.fromCodePoint(parseInt(short ?? long, 16)),
    );
  } catch {
    return undefined; // no character has that number
  }
}
