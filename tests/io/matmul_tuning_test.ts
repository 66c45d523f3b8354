import { assertEquals, assertRejects } from "@std/assert";
import { openDevice } from "../../src/gpu/device.ts";
import { loadTuning, saveTuning, shapeClass, tunedChoice } from "../../src/io/matmul_tuning.ts";
import { chooseMatmul, matmulVariants, overrideMatmulChoice } from "../../src/ops/matmul_variants.ts";

Deno.test("shapeClass() rounds each size to a power of two", () => {
  assertEquals(shapeClass({ m: 2080, n: 128, k: 120, batch: 1 }), "2048x128x128");
  assertEquals(shapeClass({ m: 65, n: 65, k: 32, batch: 60 }), "64x64x32x64");
});

Deno.test("a tuning is used once it is loaded, for the classes that it has", async () => {
  const device = await openDevice(), path = `${await Deno.makeTempDir()}/deep/tuning.json`;
  const sizes = { m: 2080, n: 128, k: 128, batch: 1 }, other = { ...sizes, m: 16 };
  const rule = chooseMatmul(device.profile, sizes),
    variant = matmulVariants(device.profile).find((v) => v !== rule.variant)!;
  const shapes = { [shapeClass(sizes)]: { variant: variant.name, splits: 1, measured: {} } };
  const tuning = { adapter: device.adapter, date: "2026-01-01", shapes };
  try {
    assertEquals(await loadTuning(device, path), false);
    await saveTuning(tuning, path);
    assertEquals(chooseMatmul(device.profile, sizes), rule);
    assertEquals(await loadTuning(device, path), true);
    assertEquals(chooseMatmul(device.profile, sizes), { variant, splits: 1 });
    overrideMatmulChoice(undefined);
    const ruleOfOther = chooseMatmul(device.profile, other);
    await loadTuning(device, path);
    assertEquals(chooseMatmul(device.profile, other), ruleOfOther);
    const gone = { ...tuning, shapes: { [shapeClass(sizes)]: { variant: "gone", splits: 1, measured: {} } } };
    assertEquals(tunedChoice(gone, device.profile, sizes), undefined);
    await saveTuning({ ...tuning, adapter: "another" }, path);
    await assertRejects(() => loadTuning(device, path), Error, 'it is of "another"');
    await Deno.writeTextFile(path, "{");
    await assertRejects(() => loadTuning(device, path), SyntaxError, "delete it or tune again");
    await Deno.writeTextFile(path, "null");
    await assertRejects(() => loadTuning(device, path), SyntaxError, 'must have "adapter" and "shapes"');
  } finally {
    overrideMatmulChoice(undefined);
    device.close();
    await Deno.remove(path.replace("/deep/tuning.json", ""), { recursive: true });
  }
});
