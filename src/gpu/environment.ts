/**
 * What surrounds the library: environment variables and files that it may look at, without ever asking for permission.
 *
 * @module
 */

/** What is looked at. */
type Look = { readonly name: "env"; readonly variable: string } | { readonly name: "read"; readonly path: string };

/** Whether something is permitted already; asking the runtime for it could stop a program at a prompt. */
function isGranted(permission: Look): boolean {
  return globalThis.Deno?.permissions.querySync(permission).state === "granted";
}

/** An environment variable, or undefined where there are none, it is empty, or reading it is not permitted. */
export function readEnvironment(name: string): string | undefined {
  try {
    return isGranted({ name: "env", variable: name }) ? globalThis.Deno?.env.get(name) || undefined : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The text of a file, or undefined where there is none or reading it is not permitted.
 *
 * @throws {Error} If it is there and cannot be read.
 */
export function readFileIfPermitted(path: string): string | undefined {
  return ifThere({ name: "read", path }, () => globalThis.Deno?.readTextFileSync(path));
}

/**
 * When a file, or every file of a folder (the folder itself, if it is to be taken as a whole), was last written, as
 * "name of 2026-01-31T08:00:00.000Z"; none where that cannot be known.
 */
export function filesOf(path: string, { whole = false } = {}): string[] {
  const line = (path: string): string | undefined => {
    const time = globalThis.Deno?.statSync(path).mtime?.toISOString();
    return time && `${path.replace(/^.*[\\/]/, "")} of ${time}`;
  };
  const lines = ifThere({ name: "read", path }, () => {
    if (whole || !globalThis.Deno?.statSync(path).isDirectory) return [line(path)];
    return [...globalThis.Deno?.readDirSync(path) ?? []].map(({ name }) => line(`${path}/${name}`)).sort();
  });
  return (lines ?? []).filter((text) => text !== undefined);
}

function ifThere<T>(permission: Look, look: () => T): T | undefined {
  if (!isGranted(permission)) return undefined;
  try {
    return look();
  } catch (error) {
    if ((error as Error).name === "NotFound") return undefined;
    throw error;
  }
}
