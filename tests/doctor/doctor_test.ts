import { assert, assertEquals, assertMatch } from "@std/assert";
import { defaultDevice, type Device, openDevice, sharingLanes } from "../../src/gpu/device.ts";
import { keepNotes } from "../../src/io/adapter_notes.ts";
import {
  type MatmulChoice,
  matmulName,
  matmulVariants,
  overrideMatmulChoice,
  plainMatmul,
} from "../../src/ops/matmul_variants.ts";
import { fastest, tuneProducts } from "../bench/tune.ts";
import { testInFolder } from "../testing/folders.ts";
import { testWhere } from "../testing/where.ts";
import { examine, wrongFamilies } from "./examine.ts";
import { families, type Family } from "./families.ts";
import { mend } from "./remedies.ts";
import { checkFamily, type Report } from "./report.ts";
import { fasterWidth } from "./widths.ts";

const cheap = families.filter(({ name }) => ["reductions", "sorting", "grouping walk"].includes(name));
const { gpu, profile } = await defaultDevice(), timed = gpu.features.has("timestamp-query");
const ofDeno = { measured: false };

Deno.test("doctor's report names adapter and backend, and the state of every family", async () => {
  const device = await defaultDevice(), shown: string[] = [];
  const report = await examine(device, (line) => shown.push(line), { ...ofDeno, checked: cheap });
  const read: Report = JSON.parse(JSON.stringify(report));
  assertEquals(read, report, "every value must survive JSON");
  assertEquals(read.checks.map(({ family, state }) => [family, state]), cheap.map(({ name }) => [name, "right"]));
  assertEquals([read.format, read.adapter.name, read.adapter.profile], [1, device.adapter, device.profile]);
  assert(["Vulkan", "OpenGL", "Metal", "Direct3D 12", "Direct3D 12 or Vulkan"].includes(read.adapter.backend));
  assert(read.adapter.limits.maxComputeInvocationsPerWorkgroup! >= 128 && read.adapter.features.length > 0);
  assertEquals(read.adapter.info.description ?? read.adapter.name, read.adapter.name);
  assertEquals(wrongFamilies(report), []);
  assertMatch(shown[0]!, /^adapter {3}\S/);
});

Deno.test("doctor names a family whose kernel is wrong, says what was wrong, and measures nothing then", async () => {
  const [right] = cheap, shown: string[] = [];
  const wrong = {
    name: "a wrong kernel",
    checks: [right!.checks[0]!, () => Promise.reject(new Error("element 3 is 1, expected 2"))],
  };
  const absent = { name: "a kernel that is not there", missing: () => "no such feature", checks: [wrong.checks[1]!] };
  const device = await defaultDevice();
  const report = await examine(device, (line) => shown.push(line), { checked: [wrong, absent, right!] });
  assertEquals(report.checks.map(({ state, cases, reasons }) => [state, cases, reasons]), [
    ["wrong", 2, ["case 2: element 3 is 1, expected 2"]],
    ["not there", 0, ["no such feature"]],
    ["right", right!.checks.length, []],
  ]);
  assertEquals([wrongFamilies(report), report.measurements], [["a wrong kernel"], undefined]);
  assertEquals(report.mended, { avoid: [], left: ["a wrong kernel"] });
  assertEquals(shown.at(-1), "nothing makes right: a wrong kernel");
  assertMatch(shown[1]!, /^a wrong kernel +WRONG .*\n {4}case 2: element 3 is 1, expected 2$/);
});

/** A device on which kernels end before they write, if their label or code is of this kind. */
async function idleDevice(kind = /^/, cache = "off"): Promise<Device> {
  const device = await openDevice({ cache }), real = device.gpu.createShaderModule.bind(device.gpu);
  device.gpu.createShaderModule = (descriptor) =>
    real(
      kind.test(descriptor.label ?? "") || kind.test(descriptor.code)
        ? { ...descriptor, code: descriptor.code.replace(/@compute[^{]*\{/, "$& if (true) { return; } ") }
        : descriptor,
    );
  return device;
}

Deno.test("doctor finds every family wrong on a device whose kernels write nothing", async () => {
  const device = await idleDevice();
  for (const family of families.filter(({ missing }) => !missing?.(device))) {
    const { state, reasons } = await checkFamily({ ...family, checks: family.checks.slice(0, 1) }, device);
    assertEquals(state, "wrong", family.name);
    assertMatch(reasons[0]!, /is (NaN|0|\d+), expected /, family.name);
  }
  device.close();
});

const named = (name: string): Family => families.find((family) => family.name === name)!;

testInFolder(
  "a wrong tile is named by the doctor, and avoided by every later device, whose values are right",
  async (cache) => {
    const { profile } = await openDevice({ cache }), [tile, ...others] = matmulVariants(profile);
    const label = matmulName(tile!), broken = new RegExp(`^${label}$`), family = named("matrix products by every tile");
    const device = await idleDevice(broken, cache), shown: string[] = [];
    const report = await examine(device, (line) => shown.push(line), { ...ofDeno, checked: [cheap[0]!, family] });
    assertEquals(report.checks.map(({ state }) => state), ["right", "wrong"]);
    assertMatch(report.checks[1]!.reasons[0]!, new RegExp(`"${label}" is wrong .* is (NaN|0), expected `));
    assertEquals(report.mended, { avoid: [label], left: [] });
    assertEquals(shown.at(-1), `avoided from now on, with right values: ${label}`);
    await keepNotes(device, { avoid: report.mended.avoid }, cache);
    const later = await idleDevice(broken, cache), said = new Set(matmulVariants(later.profile));
    assertEquals(said, new Set(others));
    assertEquals((await checkFamily(family, later)).state, "right");
    overrideMatmulChoice(() => ({ variant: tile!, splits: 1 }));
    assertEquals((await checkFamily(named("matrix products"), later)).state, "wrong", "the fault must still be there");
    overrideMatmulChoice(undefined);
  },
);

Deno.test("where all tiles are wrong the plain kernel takes their place", async () => {
  const device = await idleDevice(/^matmul (registers|workgroup)/), products = named("matrix products");
  const family = { ...products, checks: products.checks.slice(0, 2) };
  const { avoid, left } = await mend(device, [family]);
  assertEquals([left, matmulVariants(device.profile)], [[], [plainMatmul]]);
  assertEquals(avoid.filter((name) => !/^matmul (registers|workgroup)/.test(name)), []);
});

testWhere(
  sharingLanes(profile) > 0,
  "no kernels share by subgroups here",
  "where subgroups fail, all kernels do without them",
  async () => {
    const device = await idleDevice(/\bsubgroup\w+\(/),
      first = (name: string): Family => {
        const { checks, ...family } = named(name);
        return { ...family, checks: checks.slice(0, 1) };
      };
    const checked = ["matrix products", "attention"].map(first), shown: string[] = [];
    const report = await examine(device, (line) => shown.push(line), { ...ofDeno, checked });
    assertEquals(report.checks.map(({ state }) => state), ["wrong", "wrong"]);
    assertEquals(report.mended, { avoid: ["subgroups"], left: [] });
    for (const family of checked) assertEquals((await checkFamily(family, device)).state, "right");
  },
);

testWhere(
  timed,
  "the adapter has no time stamps",
  "products are tuned as long as there is time, each by a variant of the device",
  async () => {
    const device = await defaultDevice(), steps = [{ model: "tiny", batch: 2 }] as const, shown: string[] = [];
    const names = matmulVariants(device.profile).map(({ name }) => name);
    const shapes = Object.entries(await tuneProducts(device, steps, (line) => shown.push(line), 0.01));
    assertEquals(shapes.length, shown.length);
    assert(shapes.length >= 1 && shapes.length < 4, `${shapes.length} classes`);
    for (const [name, { variant, measured }] of shapes) {
      assert(names.includes(variant), variant);
      assert(Object.values(measured!).every((gflops) => gflops > 0), name);
    }
  },
);

Deno.test("families are mended by what is shared in them, one remedy for several, or are said to stay wrong", async () => {
  const device = await openDevice({ cache: "off" });
  const family = (name: string, remedies: string[][], isRight: (avoid: readonly string[]) => boolean): Family => ({
    name,
    remedies: () => Promise.resolve(remedies),
    checks: [(on) => isRight(on.profile.choices?.avoid ?? []) ? Promise.resolve() : Promise.reject(new Error("wrong"))],
  });
  const rows = family("rows", [["attention shared"], ["rows shared"]], (avoid) => avoid.includes("rows shared"));
  const both = family("both", [["never tried"]], (avoid) => avoid.includes("rows shared"));
  const hopeless = family("hopeless", [["f16"], ["subgroups"]], () => false);
  const last = family("last", [["f16"]], (avoid) => avoid.includes("f16"));
  const mended = await mend(device, [rows, both, hopeless, last]);
  assertEquals(mended, { avoid: ["rows shared", "f16"], left: ["hopeless"] });
  assertEquals([device.profile.choices?.avoid, device.profile.f16], [mended.avoid, false]);
});

Deno.test("another tile, or width, is taken where it is clearly faster", () => {
  const [slow, quick] = ["a", "b"].map((name) => ({ variant: { ...plainMatmul, name }, splits: 3 })) as [
    MatmulChoice,
    MatmulChoice,
  ];
  const of = (a: number, b: number) => fastest(slow, [{ choice: slow, gflops: a }, { choice: quick, gflops: b }]);
  assertEquals(of(10, 12), { variant: "b", splits: 3, measured: { a: 10, b: 12 } });
  assertEquals([of(10, 10.9).variant, of(10, 9).variant], ["a", "a"]);
  const speed = (adapter: string, milliseconds: number) => ({ adapter, milliseconds });
  assertEquals(fasterWidth([speed("256 bits", 10), speed("512 bits", 8)]), 512);
  assertEquals(fasterWidth([speed("256 bits", 10), speed("512 bits", 9.8)]), undefined);
  assertEquals(fasterWidth([speed("512 bits", 10), speed("512 bits", 8)]), undefined, "it is the driver's own");
  assertEquals(fasterWidth([speed("256 bits", 10)]), undefined);
  assertEquals(fasterWidth([]), undefined);
});
