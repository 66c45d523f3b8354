import { assert, assertEquals, assertMatch } from "@std/assert";
import { defaultDevice, type Device, openDevice } from "../../src/gpu/device.ts";
import { families } from "./families.ts";
import { examine, wrongFamilies } from "./examine.ts";
import { checkFamily, type Report } from "./report.ts";

const cheap = families.filter(({ name }) => ["reductions", "sorting", "grouping walk"].includes(name));
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
  assertMatch(shown[1]!, /^a wrong kernel +WRONG .*\n {4}case 2: element 3 is 1, expected 2$/);
});

/** A device whose kernels end before they write. */
async function idleDevice(): Promise<Device> {
  const device = await openDevice(), real = device.gpu.createShaderModule.bind(device.gpu);
  device.gpu.createShaderModule = (descriptor) =>
    real({ ...descriptor, code: descriptor.code.replace(/@compute[^{]*\{/, "$& if (true) { return; } ") });
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
