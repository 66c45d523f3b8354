import { assertEquals } from "@std/assert";
import { brokenRules, type Rules, type Sources, specifiers } from "./testing/floors.ts";

/** Who stands above whom, the lowest first. README.md says what each room is for. */
const rules: Rules = {
  floors: [
    ["kernels"],
    ["src/random"],
    ["src/settings"],
    ["src/gpu"],
    ["src/program"],
    ["src/ops"],
    ["src/autograd"],
    ["src/nn"],
    ["src/io"],
    ["src/optim", "src/data"],
    ["src/grit"],
    ["src/models"],
    ["src/losses"],
    ["src/train"],
    ["src/eval"],
    ["src/recipes"],
    ["src/internal.ts"],
    ["mod.ts"],
    ["examples"],
  ],
  deno: [
    "src/io",
    "src/data",
    "examples",
  ],
  only: { examples: ["mod.ts"] },
};

const root = new URL("../", import.meta.url);

/** The TypeScript files of a folder and those below it. */
async function* typescript(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (isDirectory) yield* typescript(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield folder + name;
  }
}

Deno.test("imports only go down, there are no circles, and Deno is used only where files are", async () => {
  const paths = [
    "mod.ts",
    ...await Array.fromAsync(typescript("src/")),
    ...await Array.fromAsync(typescript("examples/")),
  ];
  const sources = new Map<string, string>();
  for (const path of paths.sort()) sources.set(path, await Deno.readTextFile(new URL(path, root)));
  assertEquals(brokenRules(sources, rules), []);
});

/** A house that keeps the rules. */
const sound: Sources = new Map([
  [
    "low/a.ts",
    `import shader from "../kernels/a.wgsl" with { type: "text" };\nexport const home = globalThis.Deno?.cwd();`,
  ],
  ["low/b.ts", `import type { A } from "./a.ts";\n`],
  ["left/c.ts", `// Deno.cwd()\nexport { b } from "../low/b.ts";\n`],
  ["right/d.ts", `const folder = Deno.cwd();\nconst w = new Worker(new URL("./e.ts", import.meta.url));\n`],
  ["right/e.ts", `import "npm:sharp@1";\nimport {\n  a,\n  type B,\n} from "../low/a.ts";\n`],
]);
const small: Rules = { floors: [["kernels"], ["low"], ["left", "right"]], deno: ["right"] };

Deno.test("brokenRules() finds every kind of import that goes up, sideways, in a circle, or nowhere", () => {
  assertEquals(brokenRules(sound, small), []);
  const upward = "low/a.ts imports left/c.ts: low must import lower floors only";
  const forms = [
    `import { c } from "../left/c.ts";`,
    `import type { C } from "../left/c.ts";`,
    `import {\n  c,\n} from "../left/c.ts";`,
    `import "../left/c.ts";`,
    `export * from "../left/c.ts";`,
    `export type { C } from "../left/c.ts";`,
    `const c = await import("../left/c.ts");`,
    `type C = import("../left/c.ts").C;`,
    `new Worker(new URL("../left/c.ts", import.meta.url), { type: "module" });`,
  ];
  for (const form of forms) {
    assertEquals(brokenRules(new Map([...sound, ["low/a.ts", form]]), small).slice(0, 1), [upward], form);
  }
  const broken = (path: string, text: string): string[] => brokenRules(new Map([...sound, [path, text]]), small);
  assertEquals(broken("low/a.ts", `import type { B } from "./b.ts";`), [
    "low/a.ts -> low/b.ts -> low/a.ts: imports must not go in a circle",
  ]);
  assertEquals(broken("left/c.ts", `import "../right/d.ts";`), [
    "left/c.ts imports right/d.ts: left and right are on one floor and must not import each other",
  ]);
  assertEquals(broken("right/d.ts", `import "../attic/f.ts";`), [
    "attic/f.ts is in no room of the floors: every file must be in one",
  ]);
  assertEquals(broken("attic/f.ts", ""), ["attic/f.ts is in no room of the floors: every file must be in one"]);
  for (const use of ["Deno.open(path);", "globalThis.Deno.open(path);", "Deno;"]) {
    assertEquals(broken("left/c.ts", `const file = await ${use}`), [
      `left/c.ts uses ${use}: only right may; elsewhere ask globalThis.Deno?. first`,
    ]);
  }
  assertEquals(broken("left/c.ts", `const { open } = globalThis.Deno ?? {};\nconst name = "a Deno program";`), []);
  const faces = { ...small, only: { right: ["left"] } };
  assertEquals(brokenRules(sound, faces), ["right/e.ts imports low/a.ts: right must import left only"]);
});

Deno.test("specifiers() reads no imports in comments", () => {
  const text =
    `/**\n * import { a } from "./a.ts";\n */\n// import("./b.ts")\nimport c from "./c.ts"; // import("./d.ts")\n`;
  assertEquals(specifiers(text), ["./c.ts"]);
});
