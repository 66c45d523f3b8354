/** Starts programs of examples/ with what README.md's table allows them, and no question asked. */
import project from "../../deno.json" with { type: "json" };

/** The permissions of `deno task demo`, which all programs in examples/ run with. */
export const EXAMPLE_PERMISSIONS: readonly string[] = [
  "--no-prompt",
  ...project.tasks.demo.split(" ").filter((word) => word.startsWith("--allow-")),
];

/** A program of examples/ by its name, to be started in a process of its own. */
export function exampleCommand(
  name: string,
  args: readonly string[] = [],
  { check = "--no-check", cache = "off", ...options }: {
    check?: "--check" | "--no-check";
    /** Folder of what the doctor has kept. */
    cache?: string;
    cwd?: string;
  } = {},
): Deno.Command {
  const script = new URL(`../../examples/${name}.ts`, import.meta.url).pathname;
  return new Deno.Command("deno", {
    args: ["run", "--quiet", check, ...EXAMPLE_PERMISSIONS, script, ...args],
    env: { NO_COLOR: "1", GRITSTONE_CACHE: cache, XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR") ?? "/tmp" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
  });
}

/** Runs a program of examples/ to its end: its status, and what it printed. */
export async function runExample(name: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await exampleCommand(name, args).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}
