import { assert, assertEquals } from "@std/assert";
import { openDevice, sharingLanes } from "../../src/gpu/device.ts";
import { attentionPlan } from "../../src/ops/attention_kernel.ts";
import { matmulVariants } from "../../src/ops/matmul_variants.ts";
import { testWhere } from "../testing/where.ts";
import { adapterClasses, testArguments } from "./classes.ts";

const { adapter, profile } = await (async () => {
  const device = await openDevice();
  device.close();
  return device;
})();

Deno.test("each class of adapters has its kernels", () => {
  const cpu = { ...profile, kind: "cpu", subgroups: true } as const;
  const tiles = (lanes: number): string[] => matmulVariants({ ...cpu, subgroupSize: lanes }).map((v) => v.name);
  assertEquals(tiles(8).at(-1), "registers 64x64 shared");
  assertEquals(tiles(16).at(-1), "registers 64x128 shared");
  for (const lanes of [0, 4, 32]) assertEquals(tiles(lanes).at(-1), "registers 16x64");
  assertEquals(sharingLanes({ ...cpu, subgroupSize: 16, subgroups: false }), 0);
  assertEquals(sharingLanes({ ...cpu, subgroupSize: 16, kind: "gpu" }), 0);
  for (const [lanes, threads, exchange] of [[8, 8, true], [16, 16, true], [4, 8, false]] as const) {
    const { THREADS, EXCHANGE, SHARED } = attentionPlan({ ...cpu, subgroupSize: lanes }, 32, 65);
    assertEquals([THREADS, EXCHANGE, SHARED], [threads, exchange, false]);
  }
  assert(attentionPlan({ ...cpu, kind: "gpu" }, 32, 65).SHARED);
});

/** Files of kernels that share by lanes, and of what else differs between classes, in a few seconds. */
const SELECTION = ["tests/classes/kernels.ts"];

for (const name of ["lanes16", "none"]) {
  testWhere(
    adapter.startsWith("llvmpipe"),
    "it is about Mesa's driver for CPUs",
    `products and attention are right on ${adapterClasses[name]!.about}`,
    async () => {
      const { stdout, success } = await new Deno.Command("deno", {
        args: testArguments(adapterClasses[name]!, SELECTION),
        cwd: new URL("../..", import.meta.url).pathname,
        env: { NO_COLOR: "1", ...adapterClasses[name]!.env },
        stderr: "null",
      }).output();
      const output = new TextDecoder().decode(stdout);
      assert(success && /ok \| 3 passed/.test(output), output);
    },
  );
}
