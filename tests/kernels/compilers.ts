/**
 * The compilers of GPU vendors that a machine without a GPU can run: Mesa's drivers for AMD and Intel behind vulkan_shim.c, and
 * Dawn, which is Chromium's WebGPU, with no driver at all. README.md says where they come from.
 */

/** A compiler that is here: a command that is given the list of kernels and a file for the driver's statistics. */
export interface Compiler {
  /** The hardware that is compiled for, as Mesa calls it; or "dawn". */
  readonly name: string;
  /** The compiler itself, with its version. */
  readonly version: string;
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A compiler that is not here. */
export interface Missing {
  readonly names: readonly string[];
  readonly reason: string;
}

/** Families of AMD's GPUs by the names that versions of Mesa have for them. */
const AMD: Readonly<Record<string, readonly string[]>> = {
  navi21: ["navi21"],
  navi31: ["navi31", "gfx1100"],
  vega10: ["vega10"],
};

/** Intel's: Skylake, Tiger Lake, Arc. */
const INTEL = ["skl", "tgl", "dg2"];

const DRIVER_LISTS = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

const here = (name: string): string => new URL(name, import.meta.url).pathname;

/** All compilers, here or missing. `folder` is for what has to be made first. */
export async function findCompilers(folder: string): Promise<{ found: Compiler[]; missing: Missing[] }> {
  const found: Compiler[] = [], missing: Missing[] = [];
  const add = async (names: readonly string[], find: () => Promise<readonly Compiler[]>): Promise<void> => {
    try {
      found.push(...await find());
    } catch (error) {
      missing.push({ names, reason: (error as Error).message });
    }
  };
  await add(Object.keys(AMD), () => amd(folder));
  await add(INTEL, () => intel(folder));
  found.push({ name: "dawn", version: "dawn", script: here("dawn.ts"), env: {} });
  return { found, missing };
}

async function amd(folder: string): Promise<Compiler[]> {
  const driver = await findDriver("KERNELS_RADV", /^radeon_icd.*json$/), shim = await buildShim(folder);
  const families = await Promise.all(
    Object.entries(AMD).map(async ([name, known]) => {
      const text = await textOf(driver);
      const family = known.find((f) => text.includes(`\0${f.toUpperCase()}\0`) || text.includes(`\0${f}\0`));
      return family ? [vulkan(name, driver, shim, text, { RADV_FORCE_FAMILY: family, SHIM_NULL: "1" })] : [];
    }),
  );
  return families.flat();
}

async function intel(folder: string): Promise<Compiler[]> {
  const kernelShim = Deno.env.get("KERNELS_INTEL_SHIM");
  if (!kernelShim) throw new Error("KERNELS_INTEL_SHIM must name Mesa's libintel_noop_drm_shim.so: it is not set");
  const driver = await findDriver("KERNELS_ANV", /^intel_icd.*json$/), shim = await buildShim(folder);
  const text = await textOf(driver);
  return INTEL.map((name) =>
    vulkan(name, driver, shim, text, { LD_PRELOAD: kernelShim, INTEL_STUB_GPU_PLATFORM: name })
  );
}

function vulkan(name: string, driver: string, shim: string, text: string, env: Record<string, string>): Compiler {
  const version = /Mesa (?:version: )?(\d+\.\d+\.\d+)/.exec(text) ?? /\b(2\d\.\d+\.\d+)(?:-[\w~.+-]+)?\0/.exec(text);
  return {
    name,
    version: `Mesa ${version?.[1] ?? "of an unknown version"}`,
    script: here("compile.ts"),
    env: {
      ...env,
      SHIM_DRIVER: driver,
      VK_DRIVER_FILES: shim,
      VK_ICD_FILENAMES: shim, // as older loaders call it
      LD_LIBRARY_PATH: [driver.replace(/\/[^/]*$/, ""), Deno.env.get("LD_LIBRARY_PATH") ?? ""].join(":"),
      DENO_WEBGPU_BACKEND: "vulkan",
      MESA_SHADER_CACHE_DISABLE: "true",
    },
  };
}

/** The bytes of a library as text: names and versions stand in it as they are. */
async function textOf(library: string): Promise<string> {
  return new TextDecoder("latin1").decode(await Deno.readFile(library));
}

/** A driver's library, from an environment variable or from the lists that Vulkan's loader reads. */
async function findDriver(variable: string, list: RegExp): Promise<string> {
  const given = Deno.env.get(variable);
  if (given) return await Deno.realPath(given);
  for (const folder of DRIVER_LISTS) {
    const file = await Array.fromAsync(Deno.readDir(folder)).catch(() => [])
      .then((files) => files.find(({ name }) => list.test(name)));
    if (!file) continue;
    const library: string = JSON.parse(await Deno.readTextFile(`${folder}/${file.name}`)).ICD.library_path;
    return library.startsWith("/") ? library : `/usr/lib/${Deno.build.arch}-linux-gnu/${library}`;
  }
  throw new Error(`${variable} must name the driver's library: it is not set, and no list of drivers has one`);
}

let shim: Promise<string> | undefined;

/** Compiles vulkan_shim.c; the loader's file that names it. */
function buildShim(folder: string): Promise<string> {
  return shim ??= (async () => {
    const library = `${folder}/libvulkan_shim.so`, list = `${folder}/vulkan_shim.json`;
    const flags = ["-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-ldl", "-lpthread"];
    const { success, stderr } = await new Deno.Command("cc", { args: [here("vulkan_shim.c"), "-o", library, ...flags] })
      .output();
    if (!success) {
      const [line] = new TextDecoder().decode(stderr).split("\n").filter((l) => l.includes("error"));
      throw new Error(`cc must compile vulkan_shim.c, which takes the headers of Vulkan (libvulkan-dev): ${line}`);
    }
    const ICD = { library_path: library, api_version: "1.3.0" };
    await Deno.writeTextFile(list, JSON.stringify({ file_format_version: "1.0.0", ICD }));
    return list;
  })();
}
