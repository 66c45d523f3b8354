/**
 * The rules of the house, checked on the text of its files: imports only go down, there are no circles, and only some rooms
 * touch the `Deno` namespace.
 */
import { posix } from "node:path";

/** Files by their path from the root of the repository. */
export type Sources = ReadonlyMap<string, string>;

/** What {@linkcode brokenRules} checks. */
export interface Rules {
  /** Rooms (folders or files), the lowest floor first. A room imports its own files and lower floors only. */
  readonly floors: readonly (readonly string[])[];
  /** Rooms that may use the `Deno` namespace. */
  readonly deno: readonly string[];
  /** Rooms that import their own files and these rooms only, though more lie below them. */
  readonly only?: Readonly<Record<string, readonly string[]>>;
}

const statics = /^(?:import|export)\s+(?:[\w$*{},\s]+?\s+from\s+)?"([^"]+)"/gm;
const dynamics = /\bimport\(\s*"([^"]+)"/g;
const workers = /\bnew URL\(\s*"(\.[^"]+)",\s*import\.meta\.url/g;

/** The text of a module without its comments; strings with `//` after a space lose their end, which no rule minds. */
function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\//gm, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

/** What a module imports, in any way: statically, by type, when needed, or as a Worker. */
export function specifiers(text: string): string[] {
  const code = withoutComments(text);
  return [statics, dynamics, workers].flatMap((form) => [...code.matchAll(form)].map((m) => m[1]!));
}

/** One sentence for each rule that a file breaks; circles last. */
export function brokenRules(sources: Sources, rules: Rules): string[] {
  const graph = new Map<string, string[]>(), broken: string[] = [];
  for (const [path, text] of sources) {
    const files = specifiers(text).filter((s) => s.startsWith("."));
    graph.set(path, files.map((s) => posix.join(posix.dirname(path), s)));
    broken.push(
      ...placeOf(path, rules.floors) ? [] : [nowhere(path)],
      ...graph.get(path)!.flatMap((to) => wrongWay(path, to, rules)),
      ...denoUse(path, text, rules.deno),
    );
  }
  return [...broken, ...circles(graph)];
}

/** The sentence about an import that does not go down, if it is one. */
function wrongWay(from: string, to: string, { floors, only = {} }: Rules): string[] {
  const a = placeOf(from, floors), b = placeOf(to, floors);
  if (!a) return [];
  if (!b) return [nowhere(to)];
  if (a.room === b.room) return [];
  if (b.floor < a.floor) {
    const own = only[a.room];
    return !own || own.includes(b.room) ? [] : [`${from} imports ${to}: ${a.room} must import ${own.join(", ")} only`];
  }
  const why = a.floor === b.floor
    ? `${a.room} and ${b.room} are on one floor and must not import each other`
    : `${a.room} must import lower floors only`;
  return [`${from} imports ${to}: ${why}`];
}

function nowhere(path: string): string {
  return `${path} is in no room of the floors: every file must be in one`;
}

interface Place {
  readonly room: string;
  readonly floor: number;
}

function placeOf(path: string, floors: Rules["floors"]): Place | undefined {
  for (const [floor, rooms] of floors.entries()) {
    const room = rooms.find((name) => isIn(path, name));
    if (room) return { room, floor };
  }
  return undefined;
}

function isIn(path: string, room: string): boolean {
  return path === room || path.startsWith(`${room}/`);
}

function denoUse(path: string, text: string, allowed: readonly string[]): string[] {
  if (allowed.some((room) => isIn(path, room))) return [];
  const code = withoutComments(text).replace(/"[^"\n]*"/g, '""');
  const use = /\bglobalThis\.Deno\s*[.[].*|(?<!globalThis\.)\bDeno\b.*/.exec(code);
  if (!use) return [];
  return [`${path} uses ${use[0].trim()}: only ${allowed.join(", ")} may; elsewhere ask globalThis.Deno?. first`];
}

/** One sentence for each circle, found by walking the imports from every file in order. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>(), found: string[] = [];
  const walk = (path: string, way: readonly string[]): void => {
    const start = way.indexOf(path);
    if (start >= 0) found.push(`${[...way.slice(start), path].join(" -> ")}: imports must not go in a circle`);
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) walk(next, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) walk(path, []);
  return found;
}
