/**
 * Kernel templates. A file in kernels/ is WGSL plus five kinds of lines, so that it is readable alone:
 *
 *     const TM = 4u;            a constant with its default; `specialize` replaces the value
 *     //#for i 0 TM             the lines up to //#end are repeated for i = 0 .. TM-1 with `$i` replaced; loops nest
 *     //#each x NAMES           the lines up to //#end are repeated for each word of the list NAMES, with `$x` replaced
 *     //#if NAME                the lines up to //#else or //#end are kept if the constant NAME is true or not 0
 *     //#hook name              replaced by a text of that name (an epilogue, a type alias)
 *
 * @module
 */

/** Values of the constants, words of the lists and texts of the hooks. */
export interface Specialization {
  /** Values of constants by name. */
  readonly consts?: Readonly<Record<string, number | boolean>>;
  /** Words that `//#each` lines go through, by name. */
  readonly lists?: Readonly<Record<string, readonly string[]>>;
  /** Texts of hooks by name. */
  readonly hooks?: Readonly<Record<string, string>>;
}

/** What the names in a template's lines stand for. */
interface Scope {
  readonly vars: ReadonlyMap<string, number | string>;
  readonly consts: ReadonlyMap<string, number>;
  readonly lists: Readonly<Record<string, readonly string[]>>;
  readonly hooks: Readonly<Record<string, string>>;
}

const constLine = /^const (\w+)(\s*:\s*\w+)? = (.+?)(u?);(.*)$/;

/** WGSL from a template: constants replaced, loops unrolled, conditions decided, hooks filled in. */
export function specialize(source: string, { consts = {}, lists = {}, hooks = {} }: Specialization = {}): string {
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
  return expand(lines, { vars: new Map(), consts: known, lists, hooks }).join("\n");
}

function expand(lines: readonly string[], scope: Scope): string[] {
  const out: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const directive = /^\s*\/\/#(\w+)\s*(.*)$/.exec(line);
    if (!directive) {
      out.push(replaced(line, scope));
      continue;
    }
    const [, word, rest] = directive, words = rest!.trim().split(/\s+/);
    if (word === "hook") {
      out.push(scope.hooks[words[0]!] ?? "");
      continue;
    }
    if (word !== "for" && word !== "each" && word !== "if") {
      throw new Error(`Cannot expand the kernel: unknown line //#${word}`);
    }
    const { body, otherwise, end } = block(lines, at);
    if (word === "if") out.push(...expand(number(words[0]!, scope) ? body : otherwise, scope));
    else out.push(...repeated(body, words[0]!, word === "for" ? range(words, scope) : list(words[1]!, scope), scope));
    at = end;
  }
  return out;
}

function replaced(line: string, { vars }: Scope): string {
  return vars.size ? line.replace(/\$(\w+)/g, (all, v) => vars.has(v) ? String(vars.get(v)) : all) : line;
}

function repeated(body: readonly string[], name: string, values: readonly (number | string)[], scope: Scope): string[] {
  return values.flatMap((value) => expand(body, { ...scope, vars: new Map([...scope.vars, [name, value]]) }));
}

/** The lines of the block opened at `start`. */
function block(lines: readonly string[], start: number): { body: string[]; otherwise: string[]; end: number } {
  let depth = 0, middle = -1;
  for (let at = start; at < lines.length; at++) {
    const word = /^\s*\/\/#(\w+)/.exec(lines[at]!)?.[1];
    if (word === "for" || word === "each" || word === "if") depth++;
    else if (word === "else" && depth === 1) middle = at;
    else if (word === "end" && --depth === 0) {
      const stop = middle < 0 ? at : middle;
      return { body: lines.slice(start + 1, stop), otherwise: middle < 0 ? [] : lines.slice(middle + 1, at), end: at };
    }
  }
  throw new Error(`Cannot expand the kernel: the block opened by "${lines[start]!.trim()}" has no //#end`);
}

function range([, from, to]: readonly string[], scope: Scope): number[] {
  const first = number(from!, scope);
  return Array.from({ length: Math.max(0, number(to!, scope) - first) }, (_, i) => first + i);
}

function list(name: string, { lists }: Scope): readonly string[] {
  const words = lists[name];
  if (!words) throw new Error(`Cannot expand the kernel: no list "${name}"`);
  return words;
}

function number(text: string, { vars, consts }: Scope): number {
  const value = Number(/^\d+$/.test(text) ? text : vars.get(text) ?? consts.get(text));
  if (Number.isNaN(value)) throw new Error(`Cannot expand the kernel: no value for "${text}"`);
  return value;
}
