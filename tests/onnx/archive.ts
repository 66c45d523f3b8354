/**
 * Tests of ONNX's form, from a folder or a tar.gz: `.../NAME/model.onnx` and `.../NAME/test_data_set_N/{input,output}_N.pb`.
 */
import { parseTarGzip } from "npm:nanotar@0.3.0"; // small, without dependencies, kept by UnJS

/** One test: its model, and sets of inputs and expected outputs in their order. */
export interface TestFiles {
  /** Its folder, from that of the tests on. */
  readonly name: string;
  readonly model: Uint8Array;
  readonly sets: readonly { readonly inputs: readonly Uint8Array[]; readonly outputs: readonly Uint8Array[] }[];
}

/** Files by their path. */
export type Files = ReadonlyMap<string, Uint8Array>;

/** All files of a folder or an archive. */
export async function readFiles(path: string): Promise<Files> {
  const files = new Map<string, Uint8Array>();
  const info = await Deno.stat(path).catch(() => undefined);
  if (!info) throw new Error(`Cannot read ${path}: it must be a folder or a tar.gz: there is nothing`);
  if (info.isDirectory) {
    for await (const name of filesBelow(path)) files.set(name, await Deno.readFile(`${path}/${name}`));
    return files;
  }
  const archive = await Deno.readFile(path);
  try {
    return await unpacked(archive);
  } catch (error) {
    throw new Error(
      `Cannot read ${path}: it must be a folder or a tar.gz: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** All files of a tar.gz. */
export async function unpacked(archive: Uint8Array): Promise<Files> {
  const entries = await parseTarGzip(archive as Uint8Array<ArrayBuffer>);
  return new Map(entries.flatMap(({ name, data }) => data?.length ? [[name.replace(/^\.\//, ""), data] as const] : []));
}

async function* filesBelow(root: string, folder = ""): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(`${root}/${folder}`)) {
    if (isDirectory) yield* filesBelow(root, `${folder}${name}/`);
    else if (/\.(onnx|pb)$/.test(name)) yield folder + name;
  }
}

/**
 * The tests among files, by name.
 *
 * @throws {Error} if there is none, or one has no data.
 */
export function testsOf(files: Files): TestFiles[] {
  const tests = [...files.keys()].filter((path) => path.endsWith("model.onnx")).sort().map((path): TestFiles => {
    const folder = path.slice(0, -"model.onnx".length);
    return { name: folder.slice(0, -1), model: files.get(path)!, sets: setsOf(files, folder) };
  });
  if (!tests.length) throw new Error("Cannot find tests: there must be files NAME/model.onnx: there is none");
  const empty = tests.find((t) => !t.sets.length);
  if (empty) throw new Error(`Cannot read ${empty.name}: it must have a test_data_set_0 with output_0.pb: it has none`);
  return tests;
}

function setsOf(files: Files, folder: string): TestFiles["sets"] {
  const sets = [];
  for (let i = 0; files.has(`${folder}test_data_set_${i}/output_0.pb`); i++) {
    const numbered = (kind: string): Uint8Array[] => {
      const found: Uint8Array[] = [];
      for (let k = 0;; k++) {
        const file = files.get(`${folder}test_data_set_${i}/${kind}_${k}.pb`);
        if (!file) return found;
        found.push(file);
      }
    };
    sets.push({ inputs: numbered("input"), outputs: numbered("output") });
  }
  return sets;
}
