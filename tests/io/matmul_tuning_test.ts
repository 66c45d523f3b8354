import { assertEquals, assertRejects } from "@std/assert";
import { openDevice } from "../../src/gpu/device.ts";
import { loadTuning, saveTuning } from "../../src/io/matmul_tuning.ts";
import { chooseMatmul, matmulVariants, ruledMatmul, shapeClass } from "../../src/ops/matmul_variants.ts";
import { withFolder } from "../testing/folders.ts";

Deno.test("shapeClass() rounds each size to a power of two", () => {
  assertEquals(shapeClass({ m: 2080, n: 128, k: 120, batch: 1 }), "2048x128x128");
  assertEquals(shapeClass({ m: 65, n: 65, k: 32, batch: 60 }), "64x64x32x64");
});

Deno.test("a tuning is used once it is loaded, for the classes that it has", () =>
  withFolder(async (folder) => {
    const device = await openDevice({ cache: "off" }), path = `${folder}/tuning.json`;
    const sizes = { m: 2080, n: 128, k: 128, batch: 1 }, other = { ...sizes, m: 16 };
    const rule = ruledMatmul(device.profile, sizes), ruleOfOther = ruledMatmul(device.profile, other);
    const variant = matmulVariants(device.profile).find((v) => v !== rule.variant)!;
    const shapes = { [shapeClass(sizes)]: { variant: variant.name, splits: 1, measured: {} } };
    const tuning = { adapter: device.adapter, date: "2026-01-01", shapes };
    assertEquals(await loadTuning(device, path), false);
    await saveTuning(tuning, path);
    assertEquals(chooseMatmul(device.profile, sizes), rule);
    assertEquals(await loadTuning(device, path), true);
    assertEquals(chooseMatmul(device.profile, sizes), { variant, splits: 1 });
    assertEquals(chooseMatmul(device.profile, other), ruleOfOther);
    const gone = { ...tuning, shapes: { [shapeClass(sizes)]: { variant: "gone", splits: 1 } } };
    await saveTuning(gone, path);
    await loadTuning(device, path);
    assertEquals(chooseMatmul(device.profile, sizes), rule, "a variant that does not exist any more is not taken");
    await saveTuning({ ...tuning, adapter: "another" }, path);
    await assertRejects(() => loadTuning(device, path), Error, 'it is of "another"');
    const wrong = async (text: string, sentence: string): Promise<void> => {
      await Deno.writeTextFile(path, text);
      await assertRejects(() => loadTuning(device, path), SyntaxError, sentence);
    };
    await wrong("{", "delete it or tune again");
    await wrong("null", 'must have "adapter" and "shapes"');
    await wrong(
      '{"adapter": "x", "shapes": {"1x1x1": {"variant": 3, "splits": 1}}}',
      'each with "variant" and "splits"',
    );
    device.close();
  }));
