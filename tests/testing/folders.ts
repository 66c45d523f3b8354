/** Folders that tests write into. */

/** A test with a folder of its own, which is removed afterwards. */
export function testInFolder(name: string, body: (dir: string) => Promise<void>): void {
  Deno.test(name, () => withFolder(body));
}

/** Gives `body` a folder and removes it afterwards. */
export async function withFolder<T>(body: (dir: string) => Promise<T>): Promise<T> {
  const dir = await Deno.makeTempDir();
  try {
    return await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The bytes of all files below a folder by path, and its empty folders, to be compared with what they are later. */
export async function snapshot(dir: string): Promise<Record<string, Uint8Array | "empty folder">> {
  const found: Record<string, Uint8Array | "empty folder"> = {};
  const walk = async (folder: string): Promise<void> => {
    const entries = (await Array.fromAsync(Deno.readDir(folder))).toSorted((a, b) => a.name < b.name ? -1 : 1);
    if (!entries.length) found[folder] = "empty folder";
    for (const { name, isDirectory } of entries) {
      const path = `${folder}/${name}`;
      if (isDirectory) await walk(path);
      else found[path] = await Deno.readFile(path);
    }
  };
  await walk(dir);
  return found;
}
