import { assertEquals } from "@std/assert";
import { withFolder } from "../testing/folders.ts";
import { testWhere } from "../testing/where.ts";
import { type Collected, distinct, GUARANTEED, stepKernels } from "./collect.ts";
import type { Compiled } from "./compile.ts";

/** Runs `deno` for at most `seconds`. */
async function deno(args: readonly string[], seconds: number): Promise<{ success: boolean; lines: string[] }> {
  const { success, stdout } = await new Deno.Command("deno", {
    args: [...args],
    stdin: "null",
    stderr: "null",
    signal: AbortSignal.timeout(1000 * seconds),
  }).output();
  return { success, lines: new TextDecoder().decode(stdout).trim().split("\n") };
}

/** What Dawn says of kernels. */
async function compiledByDawn(kernels: readonly Collected[]): Promise<Compiled[]> {
  return await withFolder(async (folder) => {
    const list = `${folder}/kernels.json`, script = new URL("dawn.ts", import.meta.url).pathname;
    await Deno.writeTextFile(list, JSON.stringify(kernels));
    const permissions = ["--allow-read", "--allow-env", "--allow-ffi", "--allow-sys"];
    const { lines } = await deno(["run", "--no-lock", "--quiet", ...permissions, script, list], 120);
    return lines.map((line) => JSON.parse(line));
  });
}

const { success } = await deno(["cache", "--no-lock", "--quiet", "npm:webgpu@0.6.2"], 60);

testWhere(success, "npm:webgpu does not install", "Dawn compiles all kernels within guaranteed limits", async () => {
  // Gradients of attention with a mask or dropout still bind 9 or 10 buffers.
  const buffers = ({ signature }: Collected): number => signature.replaceAll("u", "").length;
  const kernels = distinct([...await stepKernels("base", 8), ...await stepKernels("small", 8)])
    .filter((k) => !(k.name.startsWith("attentionGrad") && buffers(k) > GUARANTEED.maxStorageBuffers));
  const compiled = await compiledByDawn(kernels);
  assertEquals(compiled.length, kernels.length);
  assertEquals(compiled.flatMap(({ error }) => error ?? []), []);
});

testWhere(success, "npm:webgpu does not install", "Dawn refuses what the guaranteed limits do not allow", async () => {
  const code = (bytes: number) =>
    `var<workgroup> tile: array<vec4<f32>, ${bytes / 16}>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { tile[i] = vec4<f32>(); }`;
  const kernels = [16384, 16400].map((bytes) => ({ name: "tile", code: code(bytes), signature: "" }));
  const errors = (await compiledByDawn(kernels)).map(({ error }) => error ?? "");
  assertEquals(errors.map((e) => e.includes("workgroup storage (16400 bytes)")), [false, true], errors.join("\n"));
});
