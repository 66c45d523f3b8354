import { assert, assertEquals, assertMatch } from "@std/assert";
import { type AdapterNotes, driverOf, notesPath, readNotes } from "../../src/gpu/adapter_notes.ts";
import { type Device, openDevice } from "../../src/gpu/device.ts";
import { filesOf } from "../../src/gpu/environment.ts";
import { keepNotes } from "../../src/io/adapter_notes.ts";
import { chooseMatmul, matmulVariants, ruledMatmul, shapeClass } from "../../src/ops/matmul_variants.ts";
import { testInFolder } from "../testing/folders.ts";
import { warnings } from "../testing/warnings.ts";

const sizes = { m: 2080, n: 128, k: 128, batch: 1 };

/** Keeps a choice for {@linkcode sizes} that the rule does not make, and gives its name. */
async function keepOther(device: Device, cache: string): Promise<string> {
  const rule = ruledMatmul(device.profile, sizes).variant;
  const { name } = matmulVariants(device.profile).find((v) => v !== rule)!;
  await keepNotes(device, { shapes: { [shapeClass(sizes)]: { variant: name, splits: 1 } } }, cache);
  return name;
}

testInFolder("what is kept of an adapter is found by the next device, whose products are those", async (cache) => {
  const device = await openDevice({ cache });
  assertEquals(device.profile.choices, undefined);
  const name = await keepOther(device, `${cache}/deep`);
  const next = await openDevice({ cache: `${cache}/deep` });
  assertEquals(chooseMatmul(next.profile, sizes).variant.name, name);
  const plain = await openDevice({ cache: `${cache}/deep`, tuning: "none" });
  assertEquals(chooseMatmul(plain.profile, sizes), ruledMatmul(device.profile, sizes));
  assertEquals((await openDevice({ cache: "off" })).profile.choices, undefined);
  assertEquals(await keepNotes(device, {}, "off"), undefined);
});

testInFolder("parts of the notes are kept one by one", async (cache) => {
  const device = await openDevice({ cache }), { adapter, driver } = device;
  await keepOther(device, cache);
  const path = await keepNotes(device, { avoid: ["attention shared"], wrong: ["softmax"] }, cache);
  const notes = (await readNotes(adapter, driver, cache))!;
  assertEquals([notes.avoid, notes.wrong, Object.keys(notes.shapes)], [["attention shared"], ["softmax"], [
    "2048x128x128",
  ]]);
  assertEquals(path, await notesPath(adapter, driver, cache));
  assertEquals([...Deno.readDirSync(cache)].map(({ name }) => `${cache}/${name}`), [path!]);
});

testInFolder("a device avoids what was found wrong, tuning or not, and warns once", async (cache) => {
  const device = await openDevice({ cache });
  const tiles = matmulVariants(device.profile).map((v) => `matmul ${v.name}`);
  await keepNotes(device, { avoid: [...tiles, "f16"], wrong: ["sorting"] }, cache);
  const open = () => openDevice({ cache, tuning: "none" });
  const said = await warnings(open);
  assertEquals(said.length, 2, said.join("\n"));
  assertMatch(said[0]!, /found kernels wrong on ".*": matmul .*, f16; plainer ones take their place$/);
  assertMatch(said[1]!, /found kernels wrong on ".*": sorting; there are no others, so results with them cannot/);
  assertEquals(await warnings(open), []);
  const { profile } = await open();
  assertEquals([chooseMatmul(profile, sizes).variant.name, profile.f16], ["plain", false]);
});

testInFolder("another driver's notes are not used", async (cache) => {
  const device = await openDevice({ cache });
  await keepOther(device, cache);
  assertEquals(await readNotes(device.adapter, `${device.driver}; a newer one`, cache), undefined);
  assertEquals(await readNotes("another adapter", device.driver, cache), undefined);
});

testInFolder("a file that holds something else is one warning, and is not used", async (cache) => {
  const device = await openDevice({ cache }), { adapter, driver } = device;
  const path = (await keepNotes(device, {}, cache))!, whole: AdapterNotes = JSON.parse(await Deno.readTextFile(path));
  const cases: [string, RegExp][] = [
    ["{", /: .*JSON/],
    ["null", /"format" must be "gritstone-adapter-1": it is undefined/],
    ["[]", /"format" must be/],
    [JSON.stringify({ ...whole, adapter: "another" }), /"adapter" must be ".*": it is "another"/],
    [JSON.stringify({ ...whole, driver: 3 }), /"driver" must be ".*": it is 3/],
    [JSON.stringify({ ...whole, avoid: "softmax" }), /"avoid" must be a list of names: it is "softmax"/],
    [JSON.stringify({ ...whole, wrong: [1] }), /"wrong" must be a list of names: it is \[1\]/],
    [JSON.stringify({ ...whole, shapes: { "1x1x1": null } }), /"shapes" must give a "variant" and "splits"/],
    [JSON.stringify({ ...whole, shapes: { "1x1x1": { variant: "plain", splits: 0 } } }), /"shapes" must give/],
  ];
  for (const [text, sentence] of cases) {
    await Deno.writeTextFile(path, text);
    const said = await warnings(async () => assertEquals(await readNotes(adapter, driver, cache), undefined));
    assertEquals(said.length, 1, text);
    assertMatch(said[0]!, /^The notes on this adapter ".*" are not used: .*; "deno task doctor" writes them anew$/);
    assertMatch(said[0]!, sentence);
  }
  await Deno.remove(path);
  await Deno.mkdir(path);
  assertEquals((await warnings(() => readNotes(adapter, driver, cache))).length, 1, "a folder in its place");
});

testInFolder("drivers differ by runtime, features and the files that name them", async (folder) => {
  const llvmpipe = { name: "llvmpipe", kind: "cpu", lanes: 8 } as const;
  const driver = driverOf(llvmpipe, ["shader-f16"]);
  assertMatch(driver, new RegExp(`^subgroups of 8, shader-f16; Deno ${Deno.version.deno} .*; \\d+ cores`));
  assert(driver !== driverOf({ ...llvmpipe, lanes: 16 }, ["shader-f16"]));
  assert(driver !== driverOf(llvmpipe, []));
  assertMatch(driverOf({ ...llvmpipe, kind: "gpu", lanes: 0 }, []), /^subgroups of unknown size, (?!.*cores)/);
  const file = `${folder}/icd.json`;
  await Deno.writeTextFile(file, "{}");
  const named = [`icd.json of ${Deno.statSync(file).mtime!.toISOString()}`];
  assertEquals(filesOf(folder), named);
  assertEquals(filesOf(file), named);
  assertEquals(filesOf(`${folder}/absent`), []);
  assertEquals(filesOf(folder, { whole: true }).length, 1);
});

/** What a program prints that opens a device with these permissions and no terminal to ask at. */
async function run(permissions: readonly string[], cache: string): Promise<string> {
  const program = new URL("../../src/gpu/device.ts", import.meta.url).href;
  const code =
    `import { openDevice } from "${program}"; console.log((await openDevice()).profile.choices?.avoid ?? "none");`;
  const { stdout, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--no-check",
      "--quiet",
      "--no-prompt",
      ...permissions,
      `data:text/typescript,${encodeURIComponent(code)}`,
    ],
    env: { GRITSTONE_CACHE: cache, NO_COLOR: "1" },
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr).replace(/^.*XDG_RUNTIME_DIR.*\n/gm, "");
}

testInFolder("without permissions a program goes on without notes, and says nothing", async (cache) => {
  const device = await openDevice({ cache });
  await keepNotes(device, { avoid: ["f16"] }, cache);
  assertMatch(
    await run(["--allow-read", "--allow-env"], cache),
    /^\[ "f16" \]\n"deno task doctor" found kernels wrong/,
  );
  for (const permissions of [[], ["--allow-env"]]) {
    assertEquals(await run(permissions, cache), "none\n", `with ${permissions}`);
  }
});
