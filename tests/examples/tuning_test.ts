import { assertEquals } from "@std/assert";
import { defaultDevice } from "../../src/gpu/device.ts";
import { keepNotes } from "../../src/io/adapter_notes.ts";
import { matmulVariants } from "../../src/ops/matmul_variants.ts";
import { withFolder } from "../testing/folders.ts";
import { exampleCommand } from "../testing/permissions.ts";

const DRY = ["--demo", "--scenes", "96", "--dry-run"];

/** What a program says of its products. */
async function isTuned(cache: string, name: string, ...args: string[]): Promise<boolean> {
  const { stderr, success } = await exampleCommand(name, args, { cache }).output(),
    said = new TextDecoder().decode(stderr);
  assertEquals(success, true, said);
  return said.includes("products as they were measured to be fastest");
}

Deno.test("programs that train find what the doctor has kept of the adapter, and --no-tuning refuses it", () =>
  withFolder(async (folder) => {
    const cache = `${folder}/cache`, device = await defaultDevice(), { name } = matmulVariants(device.profile)[0]!;
    await keepNotes(device, { shapes: { "512x64x64": { variant: name, splits: 1 } } }, cache);
    const pretrain = (...args: string[]) => isTuned(cache, "pretrain", ...DRY, "--out", `${folder}/pretrain`, ...args);
    assertEquals(await pretrain(), true);
    assertEquals(await pretrain("--no-tuning"), false);
    const finetune = ["finetune", "retrieval", ...DRY, "--out", `${folder}/finetune`] as const;
    assertEquals(await isTuned(cache, ...finetune, "--no-tuning"), false);
    assertEquals(await isTuned("off", "pretrain", ...DRY, "--out", `${folder}/pretrain`), false);
    const both = await exampleCommand("pretrain", [...DRY, "--tuning", "a", "--no-tuning", "--out", folder]).output();
    assertEquals(both.code, 2);
    assertEquals(
      new TextDecoder().decode(both.stderr).trim().split("\n").at(-1),
      "error: --tuning must not be given together with --no-tuning",
    );
  }));
