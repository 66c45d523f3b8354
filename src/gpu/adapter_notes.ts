/**
 * What `deno task doctor` has found of an adapter and its driver, kept in the user's cache folder as JSON.
 *
 * @module
 */
import type { AdapterDescription } from "./adapter.ts";
import { cacheFolder } from "./cache_folder.ts";
import { filesOf, readEnvironment, readFileIfPermitted } from "./environment.ts";
import type { ProductChoice } from "./kernel_choices.ts";

/** The kernel that was fastest on one class of shapes, and what all reached. */
export interface TunedShape extends ProductChoice {
  /** GFLOP/s by variant. */
  readonly measured?: Readonly<Record<string, number>>;
}

/** The notes of one adapter with one driver. */
export interface AdapterNotes {
  readonly format: "gritstone-adapter-1";
  readonly adapter: string;
  /** See `driverOf`. */
  readonly driver: string;
  /** When they were last written, ISO 8601 in UTC. */
  readonly date: string;
  /** Kernels that gave wrong values and have a plainer form. */
  readonly avoid: readonly string[];
  /** Families of kernels that give wrong values whatever is avoided. */
  readonly wrong: readonly string[];
  /** Fastest products by class of shapes. */
  readonly shapes: Readonly<Record<string, TunedShape>>;
}

/** Files that change when a graphics driver is installed, by operating system. */
const DRIVER_FILES: Readonly<Record<string, readonly string[]>> = {
  linux: ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"],
  darwin: ["/System/Library/CoreServices/SystemVersion.plist"],
  windows: ["C:/Windows/System32/DriverStore/FileRepository"],
};

/** Folders that hold too many files to list: their own time says enough. */
const WHOLE = "C:/Windows/System32/DriverStore/FileRepository";

/**
 * All that tells one driver of an adapter from another. WebGPU does not give a driver's version, so this is what comes with it: what the
 * device offers, and {@linkcode systemOf}.
 */
export function driverOf({ kind, lanes }: AdapterDescription, features: Iterable<string>): string {
  return `subgroups of ${lanes || "unknown size"}, ${[...features].sort().join(", ")}; ${systemOf(kind)}`;
}

/**
 * What drivers come with: the runtime, which compiles the kernels; the files by which the system finds its drivers, with their times; for
 * a CPU the number of its cores.
 */
export function systemOf(kind: AdapterDescription["kind"]): string {
  const { build, version } = globalThis.Deno ?? {};
  const variables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].flatMap((name) => readEnvironment(name)?.split(":") ?? []);
  const files = [...DRIVER_FILES[build?.os ?? ""] ?? [], ...variables];
  return [
    ["Deno", version?.deno, build?.target].join(" "),
    ...kind === "cpu" ? [`${navigator.hardwareConcurrency} cores`] : [],
    ...files.flatMap((path) => filesOf(path, { whole: path === WHOLE })),
  ].join("; ");
}

/** Where the notes of an adapter and driver are kept; undefined where nothing is. `cache`: see {@linkcode cacheFolder}. */
export async function notesPath(adapter: string, driver: string, cache?: string): Promise<string | undefined> {
  const folder = cacheFolder(cache);
  if (!folder) return undefined;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(driver)));
  const hex = Array.from(digest.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${folder}/${(adapter.match(/[\w.]+/g) ?? []).join("-")}-${hex}.json`;
}

/** The notes of an adapter and driver, if there are any. Of a file that holds something else one warning says so. */
export async function readNotes(adapter: string, driver: string, cache?: string): Promise<AdapterNotes | undefined> {
  const path = await notesPath(adapter, driver, cache);
  if (!path) return undefined;
  try {
    const text = readFileIfPermitted(path);
    return text === undefined ? undefined : parseNotes(text, adapter, driver);
  } catch (error) {
    console.warn(
      `The notes on this adapter "${path}" are not used: ${(error as Error).message}; ` +
        `"deno task doctor" writes them anew`,
    );
    return undefined;
  }
}

function parseNotes(text: string, adapter: string, driver: string): AdapterNotes {
  const fail = (reason: string): never => {
    throw new SyntaxError(reason);
  };
  const notes: Partial<AdapterNotes> = JSON.parse(text) ?? {};
  const must = (field: "format" | "adapter" | "driver", value: string): unknown =>
    notes[field] === value || fail(`"${field}" must be "${value}": it is ${JSON.stringify(notes[field])}`);
  must("format", "gritstone-adapter-1");
  must("adapter", adapter);
  must("driver", driver);
  for (const field of ["avoid", "wrong"] as const) {
    if (!isNames(notes[field])) fail(`"${field}" must be a list of names: it is ${JSON.stringify(notes[field])}`);
  }
  const { shapes } = notes;
  if (!isShapes(shapes)) fail(`"shapes" must give a "variant" and "splits" of at least 1 for every class of shapes`);
  return notes as AdapterNotes;
}

/** Whether a value is a list of texts. */
export function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

/** Whether a value gives choices of products by classes of shapes. */
export function isShapes(value: unknown): value is Readonly<Record<string, TunedShape>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((shape: Partial<TunedShape> | null) =>
    typeof shape?.variant === "string" && Number.isInteger(shape.splits) && shape.splits! >= 1
  );
}

const warned = new Set<string>();

/** Warns, once in a process, of kernels that were found to be wrong. */
export function warnOfWrong({ adapter, avoid, wrong }: AdapterNotes): void {
  const warn = (names: readonly string[], sentence: string): void => {
    const text = `"deno task doctor" found kernels wrong on "${adapter}": ${names.join(", ")}; ${sentence}`;
    if (names.length && !warned.has(text)) console.warn(text);
    warned.add(text);
  };
  warn(avoid, "plainer ones take their place");
  warn(wrong, "there are no others, so results with them cannot be trusted; a newer driver may help");
}
