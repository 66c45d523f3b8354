/**
 * Kernel templates. A file in kernels/ is WGSL plus three kinds of lines, so that it is readable alone:
 *
 *     const TM = 4u;            a constant with its default; `specialize` replaces the value
 *     //#for i 0 TM             the lines up to //#end are repeated for i = 0 .. TM-1 with `$i` replaced; loops nest
 *     //#if NAME                the lines up to //#else or //#end are kept if the constant NAME is true or not 0
 *     //#hook name              replaced by a text of that name (an epilogue, a type alias)
 *
 * @module
 */

/** Values of the constants and texts of the hooks. */
export interface Specialization {
  readonly consts?: Readonly<Record<string, number | boolean>>;
  readonly hooks?: Readonly<Record<string, string>>;
}

const constLine = /^const (\w+)(\s*:\s*\w+)? = (.+?)(u?);(.*)$/;

/** WGSL from a template: constants replaced, loops unrolled, conditions decided, hooks filled in. */
export function specialize(source: string, { consts = {}, hooks = {} }: Specialization = {}): string {
  const known = new Map<string, number>();
  const unused = new Set(Object.keys(consts));
  const lines = source.split("\n").map((line) => {
    const m = constLine.exec(line);
    if (!m) return line;
    const [, name, type = "", value, suffix, rest] = m;
    const given = consts[name!];
    unused.delete(name!);
    const text = given === undefined ? value! : String(given);
    known.set(name!, text === "true" ? 1 : text === "false" ? 0 : Number(text));
    return `const ${name}${type} = ${text}${suffix};${rest}`;
  });
  if (unused.size) throw new Error(`Cannot specialize the kernel: it has no constant ${[...unused].join(", ")}`);
  return expand(lines, new Map(), known, hooks).join("\n");
}

function expand(
  lines: readonly string[],
  vars: ReadonlyMap<string, number>,
  known: ReadonlyMap<string, number>,
  hooks: Readonly<Record<string, string>>,
): string[] {
  const out: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const directive = /^\s*\/\/#(\w+)\s*(.*)$/.exec(line);
    if (!directive) {
      out.push(vars.size ? line.replace(/\$(\w+)/g, (all, v) => vars.has(v) ? String(vars.get(v)) : all) : line);
      continue;
    }
    const [, word, rest] = directive;
    if (word === "hook") {
      out.push(hooks[rest!.trim()] ?? "");
      continue;
    }
    if (word !== "for" && word !== "if") throw new Error(`Cannot expand the kernel: unknown line //#${word}`);
    const { body, otherwise, end } = block(lines, at);
    if (word === "for") {
      const [name, from, to] = rest!.trim().split(/\s+/);
      for (let i = number(from!, vars, known); i < number(to!, vars, known); i++) {
        out.push(...expand(body, new Map([...vars, [name!, i]]), known, hooks));
      }
    } else {
      out.push(...expand(number(rest!.trim(), vars, known) ? body : otherwise, vars, known, hooks));
    }
    at = end;
  }
  return out;
}

/** The lines of the block opened at `start`. */
function block(lines: readonly string[], start: number): { body: string[]; otherwise: string[]; end: number } {
  let depth = 0, middle = -1;
  for (let at = start; at < lines.length; at++) {
    const word = /^\s*\/\/#(\w+)/.exec(lines[at]!)?.[1];
    if (word === "for" || word === "if") depth++;
    else if (word === "else" && depth === 1) middle = at;
    else if (word === "end" && --depth === 0) {
      const stop = middle < 0 ? at : middle;
      return { body: lines.slice(start + 1, stop), otherwise: middle < 0 ? [] : lines.slice(middle + 1, at), end: at };
    }
  }
  throw new Error(`Cannot expand the kernel: the block opened by "${lines[start]!.trim()}" has no //#end`);
}

function number(text: string, vars: ReadonlyMap<string, number>, known: ReadonlyMap<string, number>): number {
  const value = /^\d+$/.test(text) ? Number(text) : vars.get(text) ?? known.get(text);
  if (value === undefined || Number.isNaN(value)) throw new Error(`Cannot expand the kernel: no value for "${text}"`);
  return value;
}
